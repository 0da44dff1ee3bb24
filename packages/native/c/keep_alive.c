#include "keep_alive.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "connection.h"
#include "pump.h"
#include "tunnel.h"

/* ms from the start of a tunnel until its keep-alive is set. */
#define YOUTH 1000
/* ms between two looks at the list, so that the thread is not woken for each tunnel. */
#define INTERVAL 250

void keep_alive_add(struct pump *p, struct tunnel *t) {
  if (t->keep_alive == 0 || t->is_young) return;
  t->is_young = true;
  t->opened_at = p->now;
  t->younger = NULL;
  t->older = p->youngest;
  if (p->youngest == NULL) {
    p->young = t;
    p->keep_alive_at = p->now + YOUTH;
  } else p->youngest->younger = t;
  p->youngest = t;
}

void keep_alive_remove(struct pump *p, struct tunnel *t) {
  if (!t->is_young) return;
  t->is_young = false;
  if (t->older == NULL) p->young = t->younger;
  else t->older->younger = t->younger;
  if (t->younger == NULL) p->youngest = t->older;
  else t->younger->older = t->older;
  if (p->young == NULL) p->keep_alive_at = 0;
}

/* Other families of sockets than IP refuse the last three options. */
static void set(int fd, int idle) {
  /* The values are those of libuv: 10 probes, 1 s apart. */
  int on = 1, interval = 1, probes = 10;
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void keep_alive_run(struct pump *p) {
  while (p->young != NULL && p->now >= p->young->opened_at + YOUTH) {
    struct tunnel *t = p->young;
    keep_alive_remove(p, t);
    /* From the response to the attachment of the client, JavaScript may use the descriptors. */
    if (t->connection != NULL && t->connection->response != NULL) continue;
    for (int i = 0; i < ENDS; i++) {
      if (t->end[i].fd >= 0) set(t->end[i].fd, t->keep_alive);
    }
  }
  if (p->young == NULL) return;
  uint64_t due = p->young->opened_at + YOUTH;
  p->keep_alive_at = due > p->now + INTERVAL ? due : p->now + INTERVAL;
}
