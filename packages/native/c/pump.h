#ifndef WS_TUNNEL_PUMP_H
#define WS_TUNNEL_PUMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "trim.h"
#include "tunnel.h"

/* Bytes of one read. */
#define PUMP_BUFFER 65536
/* The requested capacity of a conduit, in bytes. */
#define CONDUIT_SIZE 262144

struct pump;

/* Called on the pump's thread when tunnels with events wait for `pump_fetch_told`, and none waited before. */
typedef void (*pump_listener)(void *context, struct pump *pump);

/* Tunnels in the order in which they were appended. A tunnel is in at most one list of a kind. */
struct tunnel_list {
  struct tunnel *first;
  struct tunnel *last;
};

/* What the thread does, and whether it was woken. */
enum { PUMP_AWAKE, PUMP_ASLEEP, PUMP_WOKEN };

/* A thread that moves the bytes of its tunnels. */
struct pump {
  pthread_t thread;
  pthread_mutex_t lock;
  struct tunnel_list commands; /* tunnels with commands; this field and the next two are guarded by the lock */
  struct tunnel_list told;     /* tunnels with events, for JavaScript */
  bool stopping;
  _Atomic bool commanded; /* there are commands */
  _Atomic int state;      /* PUMP_AWAKE, PUMP_ASLEEP or PUMP_WOKEN */
  bool unflushed;         /* commands wait for `pump_flush`; only the JavaScript thread uses it */
  int epoll;
  int wake; /* eventfd that wakes the thread to look at the commands */
  pump_listener listener;
  void *context;
  struct tunnel_list reported; /* tunnels with events that JavaScript was not told of */
  bool is_urgent;              /* one of these events cannot wait */
  uint64_t tell_at;            /* ms on CLOCK_MONOTONIC: when they are told at the latest; 0 without such events */
  struct tunnel *runnable;     /* tunnels that have more to do although epoll will report no event */
  int open;                    /* tunnels that are not closed */
  int unfreed;                 /* closed tunnels whose COMMAND_FREE has not come */
  struct tunnel *young, *youngest; /* tunnels whose keep-alive is not set yet, oldest first */
  uint64_t keep_alive_at;          /* ms on CLOCK_MONOTONIC: when the list is looked at next; 0 if it is empty */
  struct wave wave;
  struct conduit *conduits; /* empty conduits, kept for reuse while there are tunnels */
  int conduits_kept;
  uint64_t now; /* ms on CLOCK_MONOTONIC, of the last time epoll returned */
  char buffer[PUMP_BUFFER];
};

uint64_t clock_ms(void);

/* Starts the thread. NULL, with errno, if that fails. */
struct pump *pump_start(pump_listener listener, void *context);

/* Stops and joins the thread. Frees the tunnels that have COMMAND_FREE; the others do not change. */
void pump_stop(struct pump *pump);

/*
 * Gives a tunnel of the pump a command. The thread executes it in its next turn, before the events of that turn: if
 * `wakes`, after the next `pump_flush` at the latest, otherwise when it has something else to do. To be called on the
 * JavaScript thread.
 */
void pump_command(struct pump *pump, struct tunnel *tunnel, unsigned command, bool wakes);

/* Wakes the thread if it sleeps and has commands. To be called on the JavaScript thread. */
void pump_flush(struct pump *pump);

/*
 * Takes the tunnels that have events for JavaScript: the first one, the others by `next_told`. Their events are then to be
 * fetched. A tunnel whose events were fetched may be appended again, so its `next_told` is to be read before that.
 */
struct tunnel *pump_fetch_told(struct pump *pump);

/* The rest is for the pump's thread. */

/* Reports events of a tunnel to JavaScript, at the end of the turn; those that can wait, a few ms later. */
void pump_report(struct tunnel *tunnel, unsigned events);

/* To be called when a tunnel is closed. */
void pump_count_closed(struct pump *pump);

/*
 * Adds an end to the epoll set. It is not watched for room yet: an end is writable at first, and epoll would report that.
 * May also be called on the JavaScript thread. @returns whether that succeeded; if not, errno has the reason.
 */
bool pump_watch(struct pump *pump, struct end *end);

/* Has epoll report when there is room for writes to an end. Reports at once if there is. */
void pump_watch_room(struct pump *pump, struct end *end);

/*
 * Removes an end from the epoll set. To be called before its descriptor is closed: if another process has the same
 * connection open, close alone does not remove it.
 */
void pump_unwatch(struct pump *pump, struct end *end);

/* Runs the tunnel once more after all others have had their turn. */
void pump_run_later(struct pump *pump, struct tunnel *tunnel);

/* @returns an empty pipe, or NULL if the process may have no more descriptors. */
struct conduit *conduit_acquire(struct pump *pump);

/* Gives an empty pipe back. */
void conduit_release(struct pump *pump, struct conduit *conduit);

void conduit_close(struct conduit *conduit);

#endif
