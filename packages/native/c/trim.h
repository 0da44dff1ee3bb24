#ifndef WS_TUNNEL_TRIM_H
#define WS_TUNNEL_TRIM_H

#include <stdint.h>

/* The tunnels that were opened since memory was given back last. */
struct wave {
  int tunnels;
  uint64_t trim_at; /* ms on CLOCK_MONOTONIC: when memory is given back; 0: not at all */
  uint64_t latest;  /* `trim_at` is not later than this */
};

/* To be called when a tunnel is opened. `now`: ms on CLOCK_MONOTONIC. */
void trim_count(struct wave *wave, uint64_t now);

/*
 * Gives the memory that malloc has free back to the system, if that is due. V8's compiler takes tens of MB of it while
 * thousands of tunnels are opened, and malloc would keep them.
 */
void trim_run(struct wave *wave, uint64_t now);

#endif
