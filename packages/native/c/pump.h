#ifndef WS_TUNNEL_PUMP_H
#define WS_TUNNEL_PUMP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "tunnel.h"

/* Bytes of one read. */
#define PUMP_BUFFER 65536
/* Bytes a conduit is asked to take. */
#define CONDUIT_SIZE 262144

/* Called on the pump's thread when a tunnel that had nothing to tell has something. */
typedef void (*pump_listener)(void *context, struct tunnel *tunnel);

/* A thread that moves the bytes of its tunnels. */
struct pump {
  pthread_t thread;
  pthread_mutex_t lock;
  struct tunnel *commands; /* tunnels with commands, oldest first; guarded by the lock */
  struct tunnel **commands_end;
  bool stopping; /* guarded by the lock, as what follows */
  bool woken;    /* the thread will look at the commands */
  int given;     /* tunnels that are not to be freed */
  int unfreed;   /* tunnels that are, but for which the thread was not woken */
  int epoll;
  int wake; /* eventfd: look at the commands */
  pump_listener listener;
  void *context;
  struct tunnel *again;
  int tunnels;
  struct conduit *conduits; /* empty ones, to be used again while there are tunnels */
  int conduits_kept;
  uint64_t now; /* ms on CLOCK_MONOTONIC, of the last wake-up */
  char buffer[PUMP_BUFFER];
};

uint64_t clock_ms(void);

/* Starts the thread; NULL, with errno, if that fails. */
struct pump *pump_start(pump_listener listener, void *context);

/* Stops and joins the thread; its tunnels stay as they are, those to be freed are. */
void pump_stop(struct pump *pump);

/* From any thread: a command for a tunnel of the pump. */
void pump_command(struct pump *pump, struct tunnel *tunnel, unsigned command);

/* The rest is for the pump's thread. */

void pump_tell(struct tunnel *tunnel, unsigned what);

/* Has events of the end told from now on. @returns whether that is possible; errno says why not. */
bool pump_watch(struct pump *pump, struct end *end);

/* To be done before its descriptor is closed: epoll goes on by itself while another process has the connection, too. */
void pump_unwatch(struct pump *pump, struct end *end);

/* Runs the tunnel once more after all others had their turn. */
void pump_again(struct pump *pump, struct tunnel *tunnel);

/* An empty pipe, or NULL if the process may have no more descriptors. */
struct conduit *conduit_take(struct pump *pump);

/* Takes an empty pipe back. */
void conduit_give(struct pump *pump, struct conduit *conduit);

void conduit_close(struct conduit *conduit);

#endif
