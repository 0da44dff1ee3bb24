/*
 * The time before a tunnel: the thread connects to the backend, sends the head of the request and reads once. What came is
 * JavaScript's to judge: it brings the client, or takes the connection back. Nothing more is read before.
 */
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "pump.h"
#include "tunnel.h"

struct dial *dial_new(size_t question_size) {
  struct dial *d = calloc(1, sizeof *d);
  if (d == NULL) return NULL;
  d->question = malloc(question_size + 1);
  d->question_size = question_size;
  if (d->question != NULL) return d;
  free(d);
  return NULL;
}

void dial_free(struct dial *d) {
  if (d == NULL) return;
  free(d->question);
  free(d->answer);
  free(d);
}

int dial_take_back(struct tunnel *t) {
  int fd = t->end[BACKEND].fd;
  pump_unwatch(t->pump, &t->end[BACKEND]);
  t->end[BACKEND].fd = -1;
  return fd;
}

static void fail(struct pump *p, struct tunnel *t, int error) {
  bool connected = atomic_load_explicit(&t->dial->connected, memory_order_relaxed);
  t->end[BACKEND].error = error;
  pump_tell(t, TOLD_BACKEND_BROKEN | (connected ? 0 : TOLD_UNREACHED));
  tunnel_cut(p, t);
}

static void ask(struct dial *d, struct end *e) {
  while (e->writable && d->asked < d->question_size) {
    ssize_t n = send(e->fd, d->question + d->asked, d->question_size - d->asked, MSG_NOSIGNAL);
    if (n >= 0) d->asked += (size_t)n;
    else if (errno == EAGAIN || errno == EWOULDBLOCK) e->writable = false;
    /* A backend that does not listen may have answered: the read tells. */
    else if (errno != EINTR) d->asked = d->question_size;
  }
}

static void hear_answer(struct pump *p, struct tunnel *t) {
  struct dial *d = t->dial;
  struct end *e = &t->end[BACKEND];
  while (e->readable && d->answer == NULL) {
    ssize_t n = recv(e->fd, p->buffer, PUMP_BUFFER, 0);
    if (n > 0) {
      d->answer = malloc((size_t)n);
      if (d->answer == NULL) {
        fail(p, t, ENOMEM);
        return;
      }
      memcpy(d->answer, p->buffer, (size_t)n);
      d->answer_size = (size_t)n;
      pump_tell(t, TOLD_ANSWER);
    } else if (n == 0) {
      pump_tell(t, TOLD_BACKEND_FIN);
      tunnel_cut(p, t);
      return;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) e->readable = false;
    else if (errno != EINTR) {
      fail(p, t, errno);
      return;
    }
  }
}

void dial_start(struct pump *p, struct tunnel *t) {
  struct dial *d = t->dial;
  struct end *e = &t->end[BACKEND];
  int on = 1;
  e->fd = socket(d->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (e->fd < 0) {
    fail(p, t, errno);
    return;
  }
  setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (d->keep_alive > 0) {
    /* As libuv sets them. */
    int interval = 1, probes = 10;
    setsockopt(e->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(e->fd, IPPROTO_TCP, TCP_KEEPIDLE, &d->keep_alive, sizeof d->keep_alive);
    setsockopt(e->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(e->fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  }
  if (connect(e->fd, (struct sockaddr *)&d->address, d->address_size) == 0) {
    atomic_store_explicit(&d->connected, true, memory_order_relaxed);
    e->writable = true;
    ask(d, e);
  } else if (errno != EINPROGRESS) {
    fail(p, t, errno);
    return;
  }
  if (!pump_watch(p, e)) fail(p, t, errno);
}

void dial_event(struct pump *p, struct tunnel *t, uint32_t events) {
  struct dial *d = t->dial;
  struct end *e = &t->end[BACKEND];
  if (!atomic_load_explicit(&d->connected, memory_order_relaxed)) {
    int error = 0;
    socklen_t size = sizeof error;
    if (!(events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) return;
    if (getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
    if (error != 0) {
      fail(p, t, error);
      return;
    }
    atomic_store_explicit(&d->connected, true, memory_order_relaxed);
  }
  ask(d, e);
  hear_answer(p, t);
}
