/*
 * One tunnel: two non-blocking sockets, watched edge-triggered, and a way from each to the other. Runs on the pump's
 * thread only; what JavaScript may read meanwhile is atomic.
 */
#define _GNU_SOURCE
#include "tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "pump.h"

/* A splice that moves less than this was not worth its pipe. */
#define BULK_MIN 16384
/* Reads of one way before the other tunnels have their turn. */
#define TURNS 16

struct tunnel *tunnel_new(int client, int backend) {
  struct tunnel *t = calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  t->end[CLIENT].fd = client;
  t->end[BACKEND].fd = backend;
  t->end[CLIENT].tunnel = t->end[BACKEND].tunnel = t;
  return t;
}

bool tunnel_hold(struct way *w, const char *bytes, size_t length) {
  size_t waiting = w->held_to - w->held_from;
  char *held = malloc(waiting + length);
  if (held == NULL) return false;
  if (waiting > 0) memcpy(held, w->held + w->held_from, waiting);
  memcpy(held + waiting, bytes, length);
  free(w->held);
  w->held = held;
  w->held_from = 0;
  w->held_to = waiting + length;
  return true;
}

static void release_held(struct way *w) {
  free(w->held);
  w->held = NULL;
  w->held_from = w->held_to = 0;
}

static void drop_waiting(struct way *w) {
  release_held(w);
  if (w->conduit != NULL) conduit_close(w->conduit);
  w->conduit = NULL;
  w->in_conduit = 0;
}

static void count(struct pump *p, struct tunnel *t, struct way *w, size_t bytes) {
  atomic_fetch_add_explicit(&w->bytes, bytes, memory_order_relaxed);
  atomic_store_explicit(&t->active_at, p->now, memory_order_relaxed);
}

static bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

/* Nothing can be written to this end any more; what it had received is still read. */
static void broken(struct pump *p, struct end *e, int error) {
  struct tunnel *t = e->tunnel;
  int i = e == &t->end[CLIENT] ? CLIENT : BACKEND;
  bool gone = e->out_done && e->in_done;
  e->out_done = true;
  e->readable = e->hung_up = true;
  drop_waiting(&t->way[!i]);
  t->way[!i].last = true;
  if (gone) return;
  if (e->error == 0) e->error = error;
  if (t->ending) return;
  pump_tell(t, i == CLIENT ? TOLD_CLIENT_BROKEN : TOLD_BACKEND_BROKEN);
  tunnel_end(p, t);
}

/* Writes what waits. @returns whether nothing waits any more. */
static bool deliver(struct pump *p, struct way *w, struct end *to) {
  if (to->out_done) drop_waiting(w);
  while (w->in_conduit > 0 && to->writable) {
    ssize_t n = splice(w->conduit->fd[0], NULL, to->fd, NULL, w->in_conduit, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) w->in_conduit -= (size_t)n;
    else if (n < 0 && would_block(errno)) to->writable = false;
    else if (n == 0 || errno != EINTR) broken(p, to, n == 0 ? EPIPE : errno);
  }
  if (w->in_conduit > 0) return false;
  while (w->held != NULL && to->writable) {
    ssize_t n = send(to->fd, w->held + w->held_from, w->held_to - w->held_from, MSG_NOSIGNAL);
    if (n >= 0) w->held_from += (size_t)n;
    else if (would_block(errno)) to->writable = false;
    else if (errno != EINTR) broken(p, to, errno);
    if (w->held_from == w->held_to) release_held(w);
  }
  return w->held == NULL;
}

/* Reads into the buffer all tunnels share, and writes it on; what the sink does not take is held. */
static ssize_t copy(struct pump *p, struct way *w, struct end *from, struct end *to) {
  ssize_t n = recv(from->fd, p->buffer, PUMP_BUFFER, 0);
  if (n <= 0) return n;
  count(p, from->tunnel, w, (size_t)n);
  w->bulk = n == PUMP_BUFFER;
  if (n < PUMP_BUFFER && !from->hung_up) from->readable = false;
  if (to->out_done) return n;
  ssize_t sent = to->writable ? send(to->fd, p->buffer, (size_t)n, MSG_NOSIGNAL) : 0;
  if (sent < 0) {
    if (would_block(errno)) to->writable = false;
    else if (errno != EINTR) {
      broken(p, to, errno);
      return n;
    }
    sent = 0;
  }
  if (sent < n && !tunnel_hold(w, p->buffer + sent, (size_t)(n - sent))) broken(p, to, ENOMEM);
  return n;
}

static ssize_t splice_in(struct pump *p, struct way *w, struct end *from) {
  ssize_t n = splice(from->fd, NULL, w->conduit->fd[1], NULL, CONDUIT_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n <= 0) return n;
  count(p, from->tunnel, w, (size_t)n);
  w->in_conduit = (size_t)n;
  w->bulk = n >= BULK_MIN;
  return n;
}

/* Reads once from an end whose way is empty. */
static void take(struct pump *p, struct way *w, struct end *from, struct end *to) {
  if (w->bulk && w->conduit == NULL) w->conduit = conduit_take(p);
  ssize_t n = w->bulk && w->conduit != NULL ? splice_in(p, w, from) : copy(p, w, from, to);
  if (n > 0) return;
  if (n < 0 && errno == EINTR) return;
  if (n < 0 && would_block(errno)) {
    from->readable = false;
    return;
  }
  struct tunnel *t = from->tunnel;
  int error = n < 0 ? errno : 0;
  from->in_done = w->last = true;
  if (error != 0) broken(p, from, error);
  else if (!t->ending) pump_tell(t, from == &t->end[CLIENT] ? TOLD_CLIENT_FIN : TOLD_BACKEND_FIN);
}

/* Reads an end dry whose bytes nobody gets: a close over unread ones would send RST, and take from its peer what it has yet to read. */
static void discard(struct pump *p, struct end *from) {
  ssize_t n = recv(from->fd, p->buffer, PUMP_BUFFER, 0);
  if (n > 0) {
    if (n < PUMP_BUFFER && !from->hung_up) from->readable = false;
  } else if (n < 0 && would_block(errno)) from->readable = false;
  else if (n == 0 || errno != EINTR) {
    from->in_done = true;
    if (n < 0) from->out_done = true;
  }
}

/* @returns whether there is more to do, for which no event will come. */
static bool move(struct pump *p, struct tunnel *t, int i) {
  struct way *w = &t->way[i];
  struct end *from = &t->end[i], *to = &t->end[!i];
  for (int turn = 0; turn < TURNS; turn++) {
    bool empty = deliver(p, w, to);
    if (empty && w->conduit != NULL && (!from->readable || !w->bulk)) {
      conduit_give(p, w->conduit);
      w->conduit = NULL;
    }
    if (w->last) {
      if (empty && !to->out_done) {
        shutdown(to->fd, SHUT_WR);
        to->out_done = true;
      }
      if (from->in_done || !from->readable) return false;
      discard(p, from);
    } else {
      if (!empty || !from->readable) return false;
      take(p, w, from, to);
    }
  }
  return true;
}

static bool done(const struct end *e) { return e->in_done && e->out_done; }

void tunnel_run(struct pump *p, struct tunnel *t) {
  bool more, ending;
  if (t->closed) return;
  do {
    ending = t->ending;
    more = move(p, t, CLIENT);
    more |= move(p, t, BACKEND);
  } while (ending != t->ending);
  if (done(&t->end[CLIENT]) && done(&t->end[BACKEND])) tunnel_cut(p, t);
  else if (more) pump_again(p, t);
}

void tunnel_event(struct pump *p, struct end *e, uint32_t events) {
  struct tunnel *t = e->tunnel;
  if (t->closed) return;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) e->readable = true;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) e->hung_up = true;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) e->writable = true;
  if (t->dial != NULL) {
    dial_event(p, t, events);
    return;
  }
  if (events & EPOLLERR) {
    /* Told even while the end is not read because the other takes nothing. */
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) broken(p, e, error);
  }
  tunnel_run(p, t);
}

/* One last read, also of a way that waits for its sink. */
static void last_call(struct pump *p, struct tunnel *t, int i) {
  struct way *w = &t->way[i];
  struct end *from = &t->end[i], *to = &t->end[!i];
  if (w->last || to->out_done) return;
  ssize_t n = recv(from->fd, p->buffer, PUMP_BUFFER, 0);
  if (n <= 0) return;
  count(p, t, w, (size_t)n);
  if (!tunnel_hold(w, p->buffer, (size_t)n)) broken(p, to, ENOMEM);
}

void tunnel_end(struct pump *p, struct tunnel *t) {
  if (t->ending || t->closed) return;
  t->ending = true;
  for (int i = 0; i < ENDS; i++) {
    last_call(p, t, i);
    /* What a broken end had received is all read: no more can come. */
    if (t->end[i].error == 0 || t->end[!i].out_done) t->way[i].last = true;
    t->end[i].readable = true;
  }
}

static void close_all(struct tunnel *t) {
  for (int i = 0; i < ENDS; i++) {
    drop_waiting(&t->way[i]);
    if (t->end[i].fd >= 0) close(t->end[i].fd);
    t->end[i].fd = -1;
  }
}

void tunnel_cut(struct pump *p, struct tunnel *t) {
  if (t->closed) return;
  t->closed = true;
  for (int i = 0; i < ENDS; i++) {
    if (t->end[i].fd >= 0) pump_unwatch(p, &t->end[i]);
  }
  close_all(t);
  pump_tell(t, TOLD_CLOSED);
}

void tunnel_free(struct tunnel *t) {
  close_all(t);
  dial_free(t->dial);
  free(t);
}
