#ifndef WS_TUNNEL_TUNNEL_H
#define WS_TUNNEL_TUNNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connection;
struct frames;
struct pump;

enum { CLIENT, BACKEND, ENDS };

/* The events of a tunnel for JavaScript, as bits. The same numbers are in src/index.ts. */
enum {
  EVENT_CLIENT_FIN = 1,
  EVENT_BACKEND_FIN = 2,
  EVENT_CLIENT_BROKEN = 4,
  EVENT_BACKEND_BROKEN = 8,
  EVENT_CLOSED = 16,
  EVENT_RESPONSE = 32,       /* the backend has sent its first bytes */
  EVENT_CONNECT_FAILED = 64, /* the backend broke before it accepted the connection */
  EVENT_LOOKED = 128,        /* COMMAND_LOOK was executed; a tunnel that is closed by then has EVENT_CLOSED alone */
  EVENT_DETACHED = 256,      /* COMMAND_DETACH was executed; `detached` has the result */
};

/* The commands of JavaScript for a tunnel, as bits. */
enum {
  COMMAND_ADD = 1,      /* start a tunnel that has both ends */
  COMMAND_END = 2,      /* deliver what was received, then FIN to both ends */
  COMMAND_CLOSE = 4,    /* close both ends now */
  COMMAND_FREE = 8,     /* free a closed tunnel */
  COMMAND_CONNECT = 16, /* connect to the backend */
  COMMAND_ATTACH = 32,  /* start a tunnel whose client was attached after the response, and is watched already */
  COMMAND_LOOK = 64,    /* read what waits in the sockets, then report EVENT_LOOKED */
  COMMAND_DETACH = 128, /* stop a tunnel, so that another process can take it over, then report EVENT_DETACHED */
  COMMAND_ADOPT = 256,  /* count a tunnel of another process, which is detached */
  COMMAND_RESUME = 512, /* start a detached tunnel */
  COMMAND_FRAME = 1024, /* with COMMAND_END: put a Close frame before the FIN, where a frame may stand */
};

/* A kernel pipe. `splice` moves bytes from socket to socket through it, without a copy in this process. */
struct conduit {
  int fd[2];
  struct conduit *next;
};

/* One of the two sockets. */
struct end {
  struct tunnel *tunnel;
  int fd;
  int error;       /* errno that broke it, or 0 */
  bool readable;   /* a read may find something: epoll sets it, a read that finds nothing clears it */
  bool writable;   /* the same for writes */
  bool room_watched; /* epoll reports when there is room for writes; from the first write that found none */
  bool own;        /* this thread has made the socket, so no other process has it open */
  bool hung_up;    /* FIN or RST has arrived: a short read is not yet the last one */
  bool urgent;     /* TCP urgent data has arrived: a read stops at its mark, so a short read is not the last one */
  bool read_done;  /* its FIN or its failure was read */
  bool write_done; /* our FIN was written, or no peer is left to receive it */
};

/* The bytes in one direction. Bytes that wait for the sink are in `conduit` and `held`; those in `conduit` go first. */
struct flow {
  _Atomic uint64_t bytes;
  char *held;
  size_t held_from;
  size_t held_to;
  struct conduit *conduit;
  size_t in_conduit;
  struct frames *frames; /* NULL if no frames are followed. Their bytes are not spliced */
  bool bulk;     /* the last read filled the buffer: use splice */
  bool draining; /* no more bytes are accepted for the sink; it gets the waiting bytes, then FIN */
};

struct tunnel {
  struct end end[ENDS];
  struct flow flow[ENDS]; /* flow[i] comes from end[i] */
  struct pump *pump;
  struct connection *connection; /* until the client is attached */
  _Atomic uint64_t active_at;    /* ms on CLOCK_MONOTONIC */
  _Atomic unsigned events;       /* those that JavaScript has not fetched yet */
  _Atomic bool stirred;          /* after the response, before the client is attached: an end may have more to read */
  uint32_t slot;                 /* its number in JavaScript */
  bool connecting;               /* it has a connection and no client yet; only the JavaScript thread uses it */
  bool responded;                /* JavaScript has the response; only the JavaScript thread uses it */
  unsigned commands;             /* guarded by the pump's lock */
  struct tunnel *next_command;
  struct tunnel *next_told;
  struct tunnel *next_runnable;
  struct tunnel *younger, *older; /* its neighbours in the pump's list of young tunnels */
  uint64_t opened_at;             /* ms on CLOCK_MONOTONIC, when it was added to that list */
  int keep_alive;                 /* s without a byte until the kernel probes whether a peer is there; 0: never */
  bool is_young;                  /* it is in that list */
  bool runnable;   /* it is in the pump's list of tunnels that have more to do */
  bool free_later; /* to be freed when it is removed from that list */
  bool ending;
  bool closed;
  bool detached; /* no thread touches its ends, and all bytes that wait are in `held`; from EVENT_DETACHED to COMMAND_RESUME */
};

/*
 * Makes a tunnel that owns the sockets; -1 for one that does not exist yet. NULL if there is no memory.
 *
 * `keep_alive`: s without a byte until the kernel probes whether a peer is there; 0: never.
 */
struct tunnel *tunnel_new(int client, int backend, int keep_alive);

/* Follows the frames of both flows from the two states on. @returns whether there was memory. */
bool tunnel_follow(struct tunnel *tunnel, const void *states);

/* Appends bytes to those that the flow holds. Bytes that are read later go after them. @returns whether there was memory. */
bool tunnel_hold(struct flow *flow, const char *bytes, size_t length);

/* The rest is for the pump's thread. */

/* To be called when epoll reports events of an end. */
void tunnel_event(struct pump *pump, struct end *end, uint32_t epoll_events);

/* Moves all bytes that can be moved now. */
void tunnel_run(struct pump *pump, struct tunnel *tunnel);

/* Delivers what was received, then a Close frame if `frame` and if one may stand there, then FIN to both. */
void tunnel_end(struct pump *pump, struct tunnel *tunnel, bool frame);

/* Reads what waits in the sockets, and reports that it has. */
void tunnel_look(struct pump *pump, struct tunnel *tunnel);

/* Stops the tunnel and collects the bytes that wait, unless it is ending. Reports that it is done, in both cases. */
void tunnel_detach(struct pump *pump, struct tunnel *tunnel);

/* Closes both sockets now. The connections of a detached tunnel continue if another process has them open. */
void tunnel_close(struct pump *pump, struct tunnel *tunnel);

/* Closes what is open and frees the memory. */
void tunnel_free(struct tunnel *tunnel);

#endif
