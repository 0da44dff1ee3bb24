/*
 * The time before a tunnel: the thread connects to the backend, sends the head of the request and reads once.
 * JavaScript checks what was read. Then it attaches the client, or takes the connection over. The thread reads nothing
 * more before that.
 */
#define _GNU_SOURCE
#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "keep_alive.h"
#include "pump.h"
#include "tunnel.h"

struct connection *connection_new(size_t request_size) {
  struct connection *c = calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  c->request = malloc(request_size + 1);
  c->request_size = request_size;
  if (c->request != NULL) return c;
  free(c);
  return NULL;
}

void connection_free(struct connection *c) {
  if (c == NULL) return;
  free(c->request);
  free(c->response);
  free(c);
}

int connection_release(struct tunnel *t) {
  int fd = t->end[BACKEND].fd;
  pump_unwatch(t->pump, &t->end[BACKEND]);
  t->end[BACKEND].fd = -1;
  return fd;
}

static void fail(struct pump *p, struct tunnel *t, int error) {
  bool connected = atomic_load_explicit(&t->connection->connected, memory_order_relaxed);
  t->end[BACKEND].error = error;
  pump_report(t, EVENT_BACKEND_BROKEN | (connected ? 0 : EVENT_CONNECT_FAILED));
  tunnel_close(p, t);
}

static void send_request(struct pump *p, struct connection *c, struct end *e) {
  while (e->writable && c->sent < c->request_size) {
    ssize_t n = send(e->fd, c->request + c->sent, c->request_size - c->sent, MSG_NOSIGNAL);
    if (n >= 0) c->sent += (size_t)n;
    else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      e->writable = false;
      pump_watch_room(p, e);
    }
    /* A backend that does not read the request may have sent a response. The next read returns it, or the error. */
    else if (errno != EINTR) c->sent = c->request_size;
  }
}

static void read_response(struct pump *p, struct tunnel *t) {
  struct connection *c = t->connection;
  struct end *e = &t->end[BACKEND];
  while (e->readable && c->response == NULL) {
    ssize_t n = recv(e->fd, p->buffer, PUMP_BUFFER, 0);
    if (n > 0) {
      c->response = malloc((size_t)n);
      if (c->response == NULL) {
        fail(p, t, ENOMEM);
        return;
      }
      memcpy(c->response, p->buffer, (size_t)n);
      c->response_size = (size_t)n;
      /* More may wait in the socket, which epoll does not report again. */
      if (n == PUMP_BUFFER || e->hung_up || e->urgent) atomic_store(&t->stirred, true);
      pump_report(t, EVENT_RESPONSE);
    } else if (n == 0) {
      pump_report(t, EVENT_BACKEND_FIN);
      tunnel_close(p, t);
      return;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) e->readable = false;
    else if (errno != EINTR) {
      fail(p, t, errno);
      return;
    }
  }
}

void connection_start(struct pump *p, struct tunnel *t) {
  struct connection *c = t->connection;
  struct end *e = &t->end[BACKEND];
  int on = 1;
  e->fd = socket(c->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (e->fd < 0) {
    fail(p, t, errno);
    return;
  }
  e->own = true;
  setsockopt(e->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  keep_alive_add(p, t);
  if (connect(e->fd, (struct sockaddr *)&c->address, c->address_size) == 0) {
    atomic_store_explicit(&c->connected, true, memory_order_relaxed);
    e->writable = true;
    send_request(p, c, e);
  } else if (errno != EINPROGRESS) {
    fail(p, t, errno);
    return;
  } else e->room_watched = true; /* Epoll reports a new connection as room for writes. */
  if (!pump_watch(p, e)) fail(p, t, errno);
}

void connection_event(struct pump *p, struct tunnel *t, uint32_t epoll_events) {
  struct connection *c = t->connection;
  struct end *e = &t->end[BACKEND];
  if (!atomic_load_explicit(&c->connected, memory_order_relaxed)) {
    int error = 0;
    socklen_t size = sizeof error;
    if (!(epoll_events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) return;
    if (getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
    if (error != 0) {
      fail(p, t, error);
      return;
    }
    atomic_store_explicit(&c->connected, true, memory_order_relaxed);
  }
  send_request(p, c, e);
  read_response(p, t);
}
