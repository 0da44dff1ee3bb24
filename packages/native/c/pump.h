#ifndef WS_TUNNEL_PUMP_H
#define WS_TUNNEL_PUMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tunnel.h"

/* Bytes of one read. */
#define PUMP_BUFFER 65536
/* The requested capacity of a conduit, in bytes. */
#define CONDUIT_SIZE 262144

/* Called on the pump's thread when a tunnel without unfetched events gets an event. */
typedef void (*pump_listener)(void *context, struct tunnel *tunnel);

/* A thread that moves the bytes of its tunnels. */
struct pump {
  pthread_t thread;
  pthread_mutex_t lock;
  struct tunnel *commands; /* tunnels with commands, oldest first; guarded by the lock */
  struct tunnel **commands_end;
  bool stopping;    /* this field and the next three are guarded by the lock, too */
  bool woken;       /* the thread will look at the commands */
  int unfreed;      /* tunnels without COMMAND_FREE */
  int free_waiting; /* tunnels whose COMMAND_FREE has not woken the thread */
  int epoll;
  int wake; /* eventfd that wakes the thread to look at the commands */
  pump_listener listener;
  void *context;
  struct tunnel *runnable; /* tunnels that have more to do although epoll will report no event */
  int tunnels;
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

/* Gives a tunnel of the pump a command. May be called on any thread. */
void pump_command(struct pump *pump, struct tunnel *tunnel, unsigned command);

/* The rest is for the pump's thread. */

/* Reports events of a tunnel to JavaScript. */
void pump_report(struct tunnel *tunnel, unsigned events);

/* Adds an end to the epoll set. @returns whether that succeeded; if not, errno has the reason. */
bool pump_watch(struct pump *pump, struct end *end);

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
