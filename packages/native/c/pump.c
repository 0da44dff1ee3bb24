/*
 * The pump: a thread with its own epoll set. JavaScript puts tunnels and commands into a list and wakes the thread through
 * an eventfd. The thread reports events through the listener. While the thread runs, no other thread frees its tunnels or
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

/* Maximum of events that one epoll_wait returns. */
#define MAX_EVENTS 256
/* Maximum of empty conduits that are kept for reuse. */
#define CONDUITS_KEPT 32
/* With this number of closed tunnels that wait to be freed, the thread is woken for that alone. */
#define MAX_FREE_WAITING 64

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

void pump_report(struct tunnel *t, unsigned events) {
  unsigned before = atomic_fetch_or(&t->events, events);
  if (before == 0) t->pump->listener(t->pump->context, t);
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

bool pump_watch(struct pump *p, struct end *e) {
  struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = e };
  return epoll_ctl(p->epoll, EPOLL_CTL_ADD, e->fd, &event) == 0;
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

static void add(struct pump *p, struct tunnel *t) {
  p->tunnels++;
  atomic_store_explicit(&t->active_at, p->now, memory_order_relaxed);
  if (watch_or_close(p, t, CLIENT)) watch_or_close(p, t, BACKEND);
}

/*
 * Starts a tunnel whose client has come. Assumes that the backend's end is readable and the client's end is writable,
 * because epoll may report neither. It does not report the backend's end if no new bytes arrive. It does not report the
 * client's end if some room is free, but less than epoll requires for writable.
 */
static void attach(struct pump *p, struct tunnel *t) {
  if (t->closed) return;
  connection_free(t->connection);
  t->connection = NULL;
  t->end[BACKEND].readable = t->end[CLIENT].writable = true;
  atomic_store_explicit(&t->active_at, p->now, memory_order_relaxed);
  if (watch_or_close(p, t, CLIENT)) tunnel_run(p, t);
}

static struct tunnel *fetch_commands(struct pump *p, bool *stopping) {
  pthread_mutex_lock(&p->lock);
  struct tunnel *first = p->commands;
  p->commands = NULL;
  p->commands_end = &p->commands;
  *stopping = p->stopping;
  p->woken = false;
  p->free_waiting = 0;
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
    p->tunnels++;
    connection_start(p, t);
  }
  if (running && (commands & COMMAND_ATTACH)) attach(p, t);
  if (running && (commands & COMMAND_END)) {
    if (t->connection != NULL) tunnel_close(p, t);
    tunnel_end(p, t);
    tunnel_run(p, t);
  }
  if (running && (commands & COMMAND_CLOSE)) tunnel_close(p, t);
  if (commands & COMMAND_FREE) {
    if (--p->tunnels == 0) close_conduits(p);
    if (t->runnable && running) t->free_later = true;
    else tunnel_free(t);
  }
  return next;
}

static void *run(void *argument) {
  struct pump *p = argument;
  struct epoll_event events[MAX_EVENTS];
  for (;;) {
    int n = epoll_wait(p->epoll, events, MAX_EVENTS, p->runnable == NULL ? -1 : 0);
    bool commanded = false, stopping = false;
    p->now = clock_ms();
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr == NULL) commanded = true;
      else tunnel_event(p, events[i].data.ptr, events[i].events);
    }
    run_runnable(p);
    if (!commanded) continue;
    uint64_t ignored;
    while (read(p->wake, &ignored, sizeof ignored) < 0 && errno == EINTR) continue;
    struct tunnel *t = fetch_commands(p, &stopping);
    while (t != NULL) t = execute(p, t, true);
    if (stopping) return NULL;
  }
}

static void wake(struct pump *p) {
  uint64_t one = 1;
  while (write(p->wake, &one, sizeof one) < 0 && errno == EINTR) continue;
}

/* Whether a command must wake the thread. COMMAND_FREE can wait, unless it is for the last tunnel or many wait. */
static bool is_urgent(struct pump *p, unsigned command) {
  if (command & (COMMAND_ADD | COMMAND_CONNECT)) p->unfreed++;
  if (!(command & COMMAND_FREE)) return true;
  return --p->unfreed == 0 || ++p->free_waiting == MAX_FREE_WAITING;
}

void pump_command(struct pump *p, struct tunnel *t, unsigned command) {
  pthread_mutex_lock(&p->lock);
  bool wakes = is_urgent(p, command) && !p->woken;
  if (wakes) p->woken = true;
  if (t->commands == 0) {
    t->next_command = NULL;
    *p->commands_end = t;
    p->commands_end = &t->next_command;
  }
  t->commands |= command;
  pthread_mutex_unlock(&p->lock);
  if (wakes) wake(p);
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
  p->commands_end = &p->commands;
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
