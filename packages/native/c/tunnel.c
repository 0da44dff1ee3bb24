/*
 * One tunnel: two non-blocking sockets, watched edge-triggered, and a flow from each to the other. All of it runs on
 * the pump's thread. What JavaScript may read meanwhile is atomic.
 */
#define _GNU_SOURCE
#include "tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "frames.h"
#include "keep_alive.h"
#include "pump.h"

/* Bytes. A splice that moves fewer bytes costs more than it saves. */
#define BULK_MIN 16384
/* Number of reads of one flow before the other tunnels get their turn. */
#define TURNS 16

struct tunnel *tunnel_new(int client, int backend, int keep_alive) {
  struct tunnel *t = calloc(1, sizeof *t);
  if (t == NULL) return NULL;
  t->keep_alive = keep_alive;
  atomic_init(&t->active_at, clock_ms());
  t->end[CLIENT].fd = client;
  t->end[BACKEND].fd = backend;
  t->end[CLIENT].tunnel = t->end[BACKEND].tunnel = t;
  return t;
}

bool tunnel_follow(struct tunnel *t, const void *states) {
  struct frames *frames = malloc(FRAMES_SIZE);
  if (frames == NULL) return false;
  memcpy(frames, states, FRAMES_SIZE);
  t->flow[CLIENT].frames = &frames[0];
  t->flow[BACKEND].frames = &frames[1];
  return true;
}

bool tunnel_hold(struct flow *f, const char *bytes, size_t length) {
  size_t waiting = f->held_to - f->held_from;
  char *held = malloc(waiting + length);
  if (held == NULL) return false;
  if (waiting > 0) memcpy(held, f->held + f->held_from, waiting);
  memcpy(held + waiting, bytes, length);
  free(f->held);
  f->held = held;
  f->held_from = 0;
  f->held_to = waiting + length;
  return true;
}

static void drop_held(struct flow *f) {
  free(f->held);
  f->held = NULL;
  f->held_from = f->held_to = 0;
}

static void drop_waiting(struct flow *f) {
  drop_held(f);
  if (f->conduit != NULL) conduit_close(f->conduit);
  f->conduit = NULL;
  f->in_conduit = 0;
}

static void count(struct pump *p, struct tunnel *t, struct flow *f, size_t bytes) {
  atomic_fetch_add_explicit(&f->bytes, bytes, memory_order_relaxed);
  atomic_store_explicit(&t->active_at, p->now, memory_order_relaxed);
}

static bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

/* A write has found no room. */
static void found_no_room(struct pump *p, struct end *e) {
  e->writable = false;
  pump_watch_room(p, e);
}

/* A read has found nothing. The mark of urgent data is behind it, too: a read at the mark skips the urgent byte. */
static void found_nothing(struct end *e) { e->readable = e->urgent = false; }

/* A read was shorter than its buffer, so the socket is empty, unless a FIN or the mark of urgent data stopped it. */
static void was_short(struct end *e) {
  if (!e->hung_up && !e->urgent) e->readable = false;
}

/* Marks an end as broken: nothing can be written to it from now on. What it has received is still read. */
static void broken(struct pump *p, struct end *e, int error) {
  struct tunnel *t = e->tunnel;
  int i = e == &t->end[CLIENT] ? CLIENT : BACKEND;
  bool gone = e->write_done && e->read_done;
  e->write_done = true;
  e->readable = e->hung_up = true;
  drop_waiting(&t->flow[!i]);
  t->flow[!i].draining = true;
  if (gone) return;
  if (e->error == 0) e->error = error;
  if (t->ending) return;
  pump_report(t, i == CLIENT ? EVENT_CLIENT_BROKEN : EVENT_BACKEND_BROKEN);
  tunnel_end(p, t, false);
}

/* Writes the bytes that wait. @returns whether no byte waits any more. */
static bool deliver(struct pump *p, struct flow *f, struct end *to) {
  if (to->write_done) drop_waiting(f);
  while (f->in_conduit > 0 && to->writable) {
    ssize_t n = splice(f->conduit->fd[0], NULL, to->fd, NULL, f->in_conduit, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) f->in_conduit -= (size_t)n;
    else if (n < 0 && would_block(errno)) found_no_room(p, to);
    else if (n == 0 || errno != EINTR) broken(p, to, n == 0 ? EPIPE : errno);
  }
  if (f->in_conduit > 0) return false;
  while (f->held != NULL && to->writable) {
    ssize_t n = send(to->fd, f->held + f->held_from, f->held_to - f->held_from, MSG_NOSIGNAL);
    if (n >= 0) f->held_from += (size_t)n;
    else if (would_block(errno)) found_no_room(p, to);
    else if (errno != EINTR) broken(p, to, errno);
    if (f->held_from == f->held_to) drop_held(f);
  }
  return f->held == NULL;
}

/* Reads into the shared buffer of all tunnels and writes it to the sink. Holds the bytes that the sink does not take. */
static ssize_t copy(struct pump *p, struct flow *f, struct end *from, struct end *to) {
  ssize_t n = recv(from->fd, p->buffer, PUMP_BUFFER, 0);
  if (n <= 0) return n;
  count(p, from->tunnel, f, (size_t)n);
  if (f->frames != NULL) frames_pass(f->frames, p->buffer, (size_t)n);
  f->bulk = n == PUMP_BUFFER;
  if (n < PUMP_BUFFER) was_short(from);
  if (to->write_done) return n;
  ssize_t sent = to->writable ? send(to->fd, p->buffer, (size_t)n, MSG_NOSIGNAL) : 0;
  if (sent < 0) {
    if (would_block(errno)) found_no_room(p, to);
    else if (errno != EINTR) {
      broken(p, to, errno);
      return n;
    }
    sent = 0;
  }
  if (sent < n && !tunnel_hold(f, p->buffer + sent, (size_t)(n - sent))) broken(p, to, ENOMEM);
  return n;
}

static ssize_t splice_in(struct pump *p, struct flow *f, struct end *from) {
  ssize_t n = splice(from->fd, NULL, f->conduit->fd[1], NULL, CONDUIT_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n <= 0) return n;
  count(p, from->tunnel, f, (size_t)n);
  f->in_conduit = (size_t)n;
  f->bulk = n >= BULK_MIN;
  return n;
}

/*
 * Reads once from an end in whose flow nothing waits. `splice` never passes the mark of urgent data: there it finds
 * nothing, or, if a FIN follows, it returns 0 as for the FIN. So `recv` reads past the mark, and `recv` decides whether
 * there is a FIN.
 */
static void read_once(struct pump *p, struct flow *f, struct end *from, struct end *to) {
  if (from->urgent || f->frames != NULL) f->bulk = false;
  if (f->bulk && f->conduit == NULL) f->conduit = conduit_acquire(p);
  bool splices = f->bulk && f->conduit != NULL;
  ssize_t n = splices ? splice_in(p, f, from) : copy(p, f, from, to);
  if (n > 0) return;
  if (n < 0 && errno == EINTR) return;
  if (n < 0 && would_block(errno)) {
    found_nothing(from);
    return;
  }
  if (n == 0 && splices) {
    f->bulk = false;
    return;
  }
  struct tunnel *t = from->tunnel;
  int error = n < 0 ? errno : 0;
  from->read_done = f->draining = true;
  if (error != 0) broken(p, from, error);
  else if (!t->ending) pump_report(t, from == &t->end[CLIENT] ? EVENT_CLIENT_FIN : EVENT_BACKEND_FIN);
}

/*
 * Reads bytes and drops them. If the socket were closed with unread bytes, the kernel would send RST, and the peer would
 * lose what it has not read yet.
 */
static void discard(struct pump *p, struct end *from) {
  ssize_t n = recv(from->fd, p->buffer, PUMP_BUFFER, 0);
  if (n > 0) {
    if (n < PUMP_BUFFER) was_short(from);
  } else if (n < 0 && would_block(errno)) found_nothing(from);
  else if (n == 0 || errno != EINTR) {
    from->read_done = true;
    if (n < 0) from->write_done = true;
  }
}

/* Moves bytes in one direction. @returns whether there is more to do although epoll will report no event. */
static bool move(struct pump *p, struct tunnel *t, int i) {
  struct flow *f = &t->flow[i];
  struct end *from = &t->end[i], *to = &t->end[!i];
  for (int turn = 0; turn < TURNS; turn++) {
    bool empty = deliver(p, f, to);
    if (empty && f->conduit != NULL && (!from->readable || !f->bulk)) {
      conduit_release(p, f->conduit);
      f->conduit = NULL;
    }
    if (f->draining) {
      if (empty && !to->write_done) {
        /* The close that follows sends the FIN, unless another process has the socket open. */
        if (!(to->own && from->read_done && to->read_done)) shutdown(to->fd, SHUT_WR);
        to->write_done = true;
      }
      if (from->read_done || !from->readable) return false;
      discard(p, from);
    } else {
      if (!empty || !from->readable) return false;
      read_once(p, f, from, to);
    }
  }
  return true;
}

static bool is_done(const struct end *e) { return e->read_done && e->write_done; }

void tunnel_run(struct pump *p, struct tunnel *t) {
  bool more, ending;
  if (t->closed || t->detached) return;
  do {
    ending = t->ending;
    more = move(p, t, CLIENT);
    more |= move(p, t, BACKEND);
  } while (ending != t->ending);
  if (is_done(&t->end[CLIENT]) && is_done(&t->end[BACKEND])) tunnel_close(p, t);
  else if (more) pump_run_later(p, t);
}

void tunnel_event(struct pump *p, struct end *e, uint32_t epoll_events) {
  struct tunnel *t = e->tunnel;
  if (t->closed || t->detached) return;
  if (epoll_events & EPOLLPRI) e->readable = e->urgent = true;
  if (epoll_events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) e->readable = true;
  if (epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) e->hung_up = true;
  if (epoll_events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) e->writable = true;
  if (t->connection != NULL) {
    if (t->connection->response != NULL) atomic_store(&t->stirred, true);
    else connection_event(p, t, epoll_events);
    return;
  }
  if (epoll_events & EPOLLERR) {
    /* No read would find the error if the end is not read because the other end accepts no bytes. */
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) broken(p, e, error);
  }
  tunnel_run(p, t);
}

/*
 * Looks once at what epoll would report, whether it has or not. After the process stood still the thread may not have
 * had its turn yet, or it stood still between `epoll_wait` and this.
 */
void tunnel_look(struct pump *p, struct tunnel *t) {
  p->now = clock_ms();
  /* From the response to the attachment of the client, JavaScript may use the descriptors. */
  bool is_taken = t->detached || (t->connection != NULL && t->connection->response != NULL);
  for (int i = 0; i < ENDS && !is_taken && !t->closed; i++) {
    if (t->connection != NULL && i == CLIENT) continue;
    struct pollfd look = { .fd = t->end[i].fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP };
    /* The bits of poll and epoll are the same. */
    if (poll(&look, 1, 0) > 0) tunnel_event(p, &t->end[i], (uint32_t)look.revents);
  }
  if (!t->closed) pump_report(t, EVENT_LOOKED);
}

/* Reads once more, also where bytes wait for the sink; twice if the first read stops at the mark of urgent data. */
static void read_last(struct pump *p, struct tunnel *t, int i) {
  struct flow *f = &t->flow[i];
  struct end *from = &t->end[i], *to = &t->end[!i];
  for (int reads = from->urgent ? 2 : 1; reads > 0; reads--) {
    if (f->draining || to->write_done) return;
    ssize_t n = recv(from->fd, p->buffer, PUMP_BUFFER, 0);
    if (n <= 0) return;
    count(p, t, f, (size_t)n);
    if (f->frames != NULL) frames_pass(f->frames, p->buffer, (size_t)n);
    if (!tunnel_hold(f, p->buffer, (size_t)n)) broken(p, to, ENOMEM);
  }
}

/* Puts a Close frame behind the bytes of a flow, if a frame may stand there. A client masks its frames, a server does not. */
static void hold_close_frame(struct tunnel *t, int i) {
  struct flow *f = &t->flow[i];
  uint8_t frame[CLOSE_FRAME_MAX];
  if (f->frames == NULL || f->draining || t->end[!i].write_done || !frames_at_boundary(f->frames)) return;
  tunnel_hold(f, (char *)frame, frames_close(i == CLIENT, frame));
}

void tunnel_end(struct pump *p, struct tunnel *t, bool frame) {
  if (t->ending || t->closed || t->detached) return;
  t->ending = true;
  for (int i = 0; i < ENDS; i++) {
    read_last(p, t, i);
    if (frame) hold_close_frame(t, i);
    /* A broken end receives nothing new. So all that it has received is read and delivered before the flow ends. */
    if (t->end[i].error == 0 || t->end[!i].write_done) t->flow[i].draining = true;
    t->end[i].readable = true;
  }
}

/* Moves the bytes of the conduit to those that the flow holds, before the others. @returns whether there was memory. */
static bool collect(struct pump *p, struct tunnel *t, int i) {
  struct flow *f = &t->flow[i];
  size_t waiting = f->held_to - f->held_from, collected = 0;
  if (f->in_conduit > 0) {
    char *held = malloc(f->in_conduit + waiting);
    if (held == NULL) return false;
    while (collected < f->in_conduit) {
      ssize_t n = read(f->conduit->fd[0], held + collected, f->in_conduit - collected);
      if (n > 0) collected += (size_t)n;
      else if (n == 0 || errno != EINTR) {
        free(held);
        broken(p, &t->end[!i], EIO);
        return false;
      }
    }
    if (waiting > 0) memcpy(held + collected, f->held + f->held_from, waiting);
    free(f->held);
    f->held = held;
    f->held_from = 0;
    f->held_to = collected + waiting;
    f->in_conduit = 0;
  }
  if (f->conduit != NULL) conduit_release(p, f->conduit);
  f->conduit = NULL;
  return true;
}

void tunnel_detach(struct pump *p, struct tunnel *t) {
  if (t->closed) return;
  if (!t->ending && t->connection == NULL && collect(p, t, CLIENT) && collect(p, t, BACKEND)) {
    t->detached = true;
    keep_alive_remove(p, t);
    for (int i = 0; i < ENDS; i++) {
      pump_unwatch(p, &t->end[i]);
      t->end[i].own = false;
    }
  }
  pump_report(t, EVENT_DETACHED);
}

static void close_all(struct tunnel *t) {
  for (int i = 0; i < ENDS; i++) {
    drop_waiting(&t->flow[i]);
    if (t->end[i].fd >= 0) close(t->end[i].fd);
    t->end[i].fd = -1;
  }
}

void tunnel_close(struct pump *p, struct tunnel *t) {
  if (t->closed) return;
  t->closed = true;
  keep_alive_remove(p, t);
  pump_count_closed(p);
  for (int i = 0; i < ENDS; i++) {
    if (t->end[i].fd >= 0) pump_unwatch(p, &t->end[i]);
  }
  close_all(t);
  pump_report(t, EVENT_CLOSED);
}

void tunnel_free(struct tunnel *t) {
  close_all(t);
  /* One block for both flows. */
  free(t->flow[CLIENT].frames);
  connection_free(t->connection);
  free(t);
}
