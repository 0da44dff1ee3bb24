/*
 * The pump: a thread with its own epoll set. JavaScript puts tunnels and commands into a list, and wakes the thread through
 * an eventfd once per turn of the event loop, if it sleeps. The thread puts tunnels with events into a list and calls the
 * listener once per turn of its own, unless JavaScript has yet to fetch an earlier list. While the thread runs, no other thread frees its tunnels or
 * touches their sockets, with one exception: connection_release.
 */
#define _GNU_SOURCE
#include "pump.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "connection.h"
#include "keep_alive.h"
#include "trim.h"

/*
 * glibc 2.32 and 2.34 gave these functions new versions when they moved from libpthread. The old versions are the same functions, and
 * with them the binary runs with the glibc 2.28 of Node.
 */
#if defined(__GLIBC__) && defined(__x86_64__)
#define BASE_VERSION "GLIBC_2.2.5"
#elif defined(__GLIBC__) && defined(__aarch64__)
#define BASE_VERSION "GLIBC_2.17"
#endif
#ifdef BASE_VERSION
__asm__(".symver pthread_create,pthread_create@" BASE_VERSION);
__asm__(".symver pthread_join,pthread_join@" BASE_VERSION);
__asm__(".symver pthread_sigmask,pthread_sigmask@" BASE_VERSION);
#endif

/* Maximum of events that one epoll_wait returns. */
#define MAX_EVENTS 256
/* Maximum of empty conduits that are kept for reuse. */
#define CONDUITS_KEPT 32
/* ms until the thread looks at the commands if closed tunnels wait to be freed and nothing wakes it. */
#define FREE_INTERVAL 1000
/* Events that can wait: the other FIN, or the close, often follows soon. */
#define PATIENT (EVENT_CLIENT_FIN | EVENT_BACKEND_FIN)
/* ms that they wait. */
#define PATIENCE 5

uint64_t clock_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

struct conduit *conduit_acquire(struct pump *p) {
  struct conduit *c = p->conduits;
  if (c != NULL) {
    p->conduits = c->next;
    p->conduits_kept--;
    return c;
  }
  c = malloc(sizeof *c);
  if (c == NULL) return NULL;
  if (pipe2(c->fd, O_NONBLOCK | O_CLOEXEC) < 0) {
    free(c);
    return NULL;
  }
  /* Fails beyond the user's quota of pipe memory. The pipe then keeps its first size. */
  (void)fcntl(c->fd[1], F_SETPIPE_SZ, CONDUIT_SIZE);
  return c;
}

void conduit_close(struct conduit *c) {
  close(c->fd[0]);
  close(c->fd[1]);
  free(c);
}

void conduit_release(struct pump *p, struct conduit *c) {
  if (p->conduits_kept == CONDUITS_KEPT) {
    conduit_close(c);
    return;
  }
  c->next = p->conduits;
  p->conduits = c;
  p->conduits_kept++;
}

static void append_reported(struct tunnel_list *list, struct tunnel *t) {
  t->next_told = NULL;
  if (list->first == NULL) list->first = t;
  else list->last->next_told = t;
  list->last = t;
}

void pump_report(struct tunnel *t, unsigned events) {
  struct pump *p = t->pump;
  if (atomic_fetch_or(&t->events, events) == 0) append_reported(&p->reported, t);
  if (events & ~(unsigned)PATIENT) p->is_urgent = true;
  else if (p->tell_at == 0) p->tell_at = p->now + PATIENCE;
}

/* Tells JavaScript of the tunnels that have events, if one of these is urgent or has waited long enough. */
static void tell(struct pump *p) {
  if (!p->is_urgent && (p->tell_at == 0 || p->now < p->tell_at)) return;
  p->is_urgent = false;
  p->tell_at = 0;
  /* The events may be of tunnels that are in the list already. */
  if (p->reported.first == NULL) return;
  pthread_mutex_lock(&p->lock);
  bool called = p->told.first != NULL;
  if (called) p->told.last->next_told = p->reported.first;
  else p->told.first = p->reported.first;
  p->told.last = p->reported.last;
  pthread_mutex_unlock(&p->lock);
  p->reported.first = p->reported.last = NULL;
  if (!called) p->listener(p->context, p);
}

struct tunnel *pump_fetch_told(struct pump *p) {
  pthread_mutex_lock(&p->lock);
  struct tunnel *first = p->told.first;
  p->told.first = p->told.last = NULL;
  pthread_mutex_unlock(&p->lock);
  return first;
}

void pump_run_later(struct pump *p, struct tunnel *t) {
  if (t->runnable) return;
  t->runnable = true;
  t->next_runnable = p->runnable;
  p->runnable = t;
}

static void run_runnable(struct pump *p) {
  struct tunnel *t = p->runnable;
  p->runnable = NULL;
  while (t != NULL) {
    struct tunnel *next = t->next_runnable;
    t->runnable = false;
    if (t->free_later) tunnel_free(t);
    else tunnel_run(p, t);
    t = next;
  }
}

static void close_conduits(struct pump *p) {
  while (p->conduits != NULL) {
    struct conduit *c = p->conduits;
    p->conduits = c->next;
    conduit_close(c);
  }
  p->conduits_kept = 0;
}

#define WATCHED (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET)

bool pump_watch(struct pump *p, struct end *e) {
  struct epoll_event event = { .events = WATCHED | (e->room_watched ? EPOLLOUT : 0), .data.ptr = e };
  return epoll_ctl(p->epoll, EPOLL_CTL_ADD, e->fd, &event) == 0;
}

void pump_watch_room(struct pump *p, struct end *e) {
  struct epoll_event event = { .events = WATCHED | EPOLLOUT, .data.ptr = e };
  if (e->room_watched) return;
  e->room_watched = true;
  epoll_ctl(p->epoll, EPOLL_CTL_MOD, e->fd, &event);
}

void pump_unwatch(struct pump *p, struct end *e) { epoll_ctl(p->epoll, EPOLL_CTL_DEL, e->fd, NULL); }

/* Watches an end, and closes the tunnel if that fails. @returns whether it succeeded. */
static bool watch_or_close(struct pump *p, struct tunnel *t, int i) {
  if (pump_watch(p, &t->end[i])) return true;
  t->end[i].error = errno;
  pump_report(t, i == CLIENT ? EVENT_CLIENT_BROKEN : EVENT_BACKEND_BROKEN);
  tunnel_close(p, t);
  return false;
}

/* Counts a tunnel that is opened. */
static void count_open(struct pump *p) {
  p->open++;
  trim_count(&p->wave, p->now);
}

void pump_count_closed(struct pump *p) {
  p->unfreed++;
  if (--p->open == 0) close_conduits(p);
}

static void add(struct pump *p, struct tunnel *t) {
  count_open(p);
  keep_alive_add(p, t);
  atomic_store_explicit(&t->active_at, p->now, memory_order_relaxed);
  t->end[CLIENT].writable = t->end[BACKEND].writable = true;
  if (watch_or_close(p, t, CLIENT) && watch_or_close(p, t, BACKEND)) tunnel_run(p, t);
}

/* Starts a detached tunnel. Assumes that its ends are readable and writable. A read or a write finds out. */
static void resume(struct pump *p, struct tunnel *t) {
  if (t->closed || !t->detached) return;
  t->detached = false;
  keep_alive_add(p, t);
  for (int i = 0; i < ENDS; i++) {
    t->end[i].readable = t->end[i].writable = true;
    if (!watch_or_close(p, t, i)) return;
  }
  tunnel_run(p, t);
}

/*
 * Starts a tunnel whose client has come. Assumes that the backend's end is readable and the client's end is writable,
 * because epoll does not report that again.
 */
static void attach(struct pump *p, struct tunnel *t) {
  if (t->closed) return;
  connection_free(t->connection);
  t->connection = NULL;
  t->end[BACKEND].readable = t->end[CLIENT].writable = true;
  keep_alive_add(p, t);
  tunnel_run(p, t);
}

static struct tunnel *fetch_commands(struct pump *p, bool *stopping) {
  pthread_mutex_lock(&p->lock);
  struct tunnel *first = p->commands.first;
  p->commands.first = p->commands.last = NULL;
  *stopping = p->stopping;
  pthread_mutex_unlock(&p->lock);
  return first;
}

/* Executes the commands of a tunnel. If the thread has stopped, only COMMAND_FREE. @returns the next tunnel. */
static struct tunnel *execute(struct pump *p, struct tunnel *t, bool running) {
  pthread_mutex_lock(&p->lock);
  unsigned commands = t->commands;
  struct tunnel *next = t->next_command;
  t->commands = 0;
  t->next_command = NULL;
  pthread_mutex_unlock(&p->lock);
  if (running && (commands & COMMAND_ADD)) add(p, t);
  if (running && (commands & COMMAND_CONNECT)) {
    count_open(p);
    connection_start(p, t);
  }
  if (running && (commands & COMMAND_ATTACH)) attach(p, t);
  if (running && (commands & COMMAND_ADOPT)) count_open(p);
  if (running && (commands & COMMAND_RESUME)) resume(p, t);
  if (running && (commands & COMMAND_LOOK)) tunnel_look(p, t);
  if (running && (commands & COMMAND_END)) {
    if (t->connection != NULL) tunnel_close(p, t);
    tunnel_end(p, t, commands & COMMAND_FRAME);
    tunnel_run(p, t);
  }
  if (running && (commands & COMMAND_DETACH)) tunnel_detach(p, t);
  if (running && (commands & COMMAND_CLOSE)) tunnel_close(p, t);
  if (commands & COMMAND_FREE) {
    p->unfreed--;
    if (t->runnable && running) t->free_later = true;
    else tunnel_free(t);
  }
  return next;
}

/* The sooner of two times; 0 is never. */
static uint64_t sooner(uint64_t a, uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

/* ms until the thread has something to do although nothing wakes it; -1 is never. */
static int sleep_time(const struct pump *p) {
  if (p->runnable != NULL) return 0;
  uint64_t at = sooner(sooner(p->tell_at, p->keep_alive_at), p->wave.trim_at);
  if (p->unfreed > 0) at = sooner(at, p->now + FREE_INTERVAL);
  if (at == 0) return -1;
  return at <= p->now ? 0 : (int)(at - p->now);
}

static void *run(void *argument) {
  struct pump *p = argument;
  struct epoll_event events[MAX_EVENTS];
  for (bool stopping = false; !stopping;) {
    int awake = PUMP_AWAKE;
    bool sleeps = atomic_compare_exchange_strong(&p->state, &awake, PUMP_ASLEEP) && !atomic_load(&p->commanded);
    int n = epoll_wait(p->epoll, events, MAX_EVENTS, sleeps ? sleep_time(p) : 0);
    atomic_store(&p->state, PUMP_AWAKE);
    p->now = clock_ms();
    if (atomic_exchange(&p->commanded, false)) {
      struct tunnel *t = fetch_commands(p, &stopping);
      while (t != NULL) t = execute(p, t, true);
    }
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr == NULL) {
        uint64_t ignored;
        while (read(p->wake, &ignored, sizeof ignored) < 0 && errno == EINTR) continue;
      } else tunnel_event(p, events[i].data.ptr, events[i].events);
    }
    run_runnable(p);
    if (p->keep_alive_at != 0 && p->now >= p->keep_alive_at) keep_alive_run(p);
    tell(p);
    trim_run(&p->wave, p->now);
  }
  return NULL;
}

void pump_command(struct pump *p, struct tunnel *t, unsigned command, bool wakes) {
  pthread_mutex_lock(&p->lock);
  if (t->commands == 0) {
    t->next_command = NULL;
    if (p->commands.first == NULL) p->commands.first = t;
    else p->commands.last->next_command = t;
    p->commands.last = t;
  }
  t->commands |= command;
  pthread_mutex_unlock(&p->lock);
  atomic_store(&p->commanded, true);
  if (wakes) p->unflushed = true;
}

/* Makes the thread look at the commands. */
static void wake(struct pump *p) {
  uint64_t one = 1;
  if (atomic_exchange(&p->state, PUMP_WOKEN) != PUMP_ASLEEP) return;
  while (write(p->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}

void pump_flush(struct pump *p) {
  if (!p->unflushed) return;
  p->unflushed = false;
  wake(p);
}

static void pump_free(struct pump *p) {
  close_conduits(p);
  if (p->epoll >= 0) close(p->epoll);
  if (p->wake >= 0) close(p->wake);
  pthread_mutex_destroy(&p->lock);
  free(p);
}

struct pump *pump_start(pump_listener listener, void *context) {
  struct pump *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  pthread_mutex_init(&p->lock, NULL);
  p->listener = listener;
  p->context = context;
  p->epoll = epoll_create1(EPOLL_CLOEXEC);
  p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
  int error = errno;
  if (p->epoll >= 0 && p->wake >= 0 && epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->wake, &event) == 0) {
    /* The thread inherits a mask of all signals, because Node's own thread handles them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) return p;
  } else error = errno;
  pump_free(p);
  errno = error;
  return NULL;
}

void pump_stop(struct pump *p) {
  pthread_mutex_lock(&p->lock);
  p->stopping = true;
  pthread_mutex_unlock(&p->lock);
  atomic_store(&p->commanded, true);
  wake(p);
  pthread_join(p->thread, NULL);
  for (struct tunnel *t = p->runnable; t != NULL;) {
    struct tunnel *next = t->next_runnable;
    t->runnable = false;
    if (t->free_later) tunnel_free(t);
    t = next;
  }
  bool stopping;
  struct tunnel *t = fetch_commands(p, &stopping);
  while (t != NULL) t = execute(p, t, false);
  pump_free(p);
}
