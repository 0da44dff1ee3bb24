#ifndef WS_TUNNEL_TUNNEL_H
#define WS_TUNNEL_TUNNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dial;
struct pump;

enum { CLIENT, BACKEND, ENDS };

/* What a tunnel tells JavaScript, as bits: what has happened since it was last asked. */
enum {
  TOLD_CLIENT_FIN = 1,
  TOLD_BACKEND_FIN = 2,
  TOLD_CLIENT_BROKEN = 4,
  TOLD_BACKEND_BROKEN = 8,
  TOLD_CLOSED = 16,
  TOLD_ANSWER = 32,    /* the backend's first bytes are there */
  TOLD_UNREACHED = 64, /* it broke before there was a connection */
};

/* What JavaScript tells a tunnel, as bits. */
enum {
  COMMAND_ADD = 1,
  COMMAND_END = 2,
  COMMAND_CUT = 4,
  COMMAND_FREE = 8,
  COMMAND_DIAL = 16,
  COMMAND_JOIN = 32,
};

/* A kernel pipe: spliced bytes go from socket to socket through it without being copied to us. */
struct conduit {
  int fd[2];
  struct conduit *next;
};

/* One of the two sockets. */
struct end {
  struct tunnel *tunnel;
  int fd;
  int error;      /* errno that broke it, or 0 */
  bool readable;  /* a read may find something: cleared by the read that does not, set by epoll */
  bool writable;
  bool hung_up;   /* FIN or RST has come: a short read is not yet the last one */
  bool in_done;   /* its FIN or failure was read */
  bool out_done;  /* our FIN was written, or nobody is there to get it */
};

/* The bytes from one end to the other. What waits for the sink is in the conduit or held; the conduit's come first. */
struct way {
  _Atomic uint64_t bytes;
  char *held;
  size_t held_from;
  size_t held_to;
  struct conduit *conduit;
  size_t in_conduit;
  bool bulk; /* the last read filled the buffer: splice */
  bool last; /* no more is taken for the sink: what waits, then FIN */
};

struct tunnel {
  struct end end[ENDS];
  struct way way[ENDS]; /* way[i] comes from end[i] */
  struct pump *pump;
  struct dial *dial; /* until the client joins */
  _Atomic uint64_t active_at; /* ms on CLOCK_MONOTONIC */
  _Atomic unsigned told;
  uint32_t slot; /* its number in JavaScript */
  bool dialled;  /* it has a dial that waits for JavaScript, and an answer; only JavaScript looks at both */
  bool answered;
  unsigned commands; /* guarded by the pump's lock */
  struct tunnel *next_command;
  struct tunnel *next_again;
  bool again;  /* in the pump's list of those that had more to do */
  bool doomed; /* to be freed when it leaves that list */
  bool ending;
  bool closed;
};

/* Takes the sockets over, of which there may be none yet (-1); NULL if there is no memory. */
struct tunnel *tunnel_new(int client, int backend);

/* Puts bytes on a way before all that will be read. @returns whether there was memory. */
bool tunnel_hold(struct way *way, const char *bytes, size_t length);

/* epoll said something of an end. */
void tunnel_event(struct pump *pump, struct end *end, uint32_t events);

/* Moves what can be moved. */
void tunnel_run(struct pump *pump, struct tunnel *tunnel);

/* Delivers what was received, then FIN to both. */
void tunnel_end(struct pump *pump, struct tunnel *tunnel);

/* Closes both sockets now. */
void tunnel_cut(struct pump *pump, struct tunnel *tunnel);

/* Closes what is open and gives the memory back. */
void tunnel_free(struct tunnel *tunnel);

#endif
