#include "trim.h"

#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Fewer tunnels do not take so much memory that the ms of a trim are worth it. */
#define MIN_TUNNELS 256
/* ms after the last tunnel of a wave. */
#define QUIET 300
/* ms after the first one, if tunnels are opened all the time. */
#define MAX_WAIT 10000

void trim_count(struct wave *w, uint64_t now) {
#ifdef __GLIBC__
  if (++w->tunnels < MIN_TUNNELS) return;
  if (w->tunnels == MIN_TUNNELS) w->latest = now + MAX_WAIT;
  w->trim_at = now + QUIET < w->latest ? now + QUIET : w->latest;
#else
  (void)w;
  (void)now;
#endif
}

void trim_run(struct wave *w, uint64_t now) {
  if (w->trim_at == 0 || now < w->trim_at) return;
  w->tunnels = 0;
  w->trim_at = 0;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}
