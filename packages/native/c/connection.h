#ifndef WS_TUNNEL_DIAL_H
#define WS_TUNNEL_DIAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct pump;
struct tunnel;

/* What a tunnel is before it has a client: a connection to the backend that is to be made, a question, and what came back first. */
struct dial {
  struct sockaddr_storage address;
  socklen_t address_size;
  int keep_alive; /* s without a byte until the kernel asks whether the peer is there; 0: never */
  char *question;
  size_t asked; /* bytes of it that are out */
  size_t question_size;
  char *answer; /* of the first read; the thread's until it is told of, JavaScript's then */
  size_t answer_size;
  _Atomic bool connected;
};

/* Takes a question of this size, to be filled in; NULL if there is no memory. */
struct dial *dial_new(size_t question_size);

void dial_free(struct dial *dial);

/* On JavaScript's thread, after the answer: the descriptor, which the pump does not touch before it is told what comes next. */
int dial_take_back(struct tunnel *tunnel);

/* The rest is for the pump's thread. */

/* Connects. */
void dial_start(struct pump *pump, struct tunnel *tunnel);

/* epoll said something of the backend. */
void dial_event(struct pump *pump, struct tunnel *tunnel, uint32_t events);

#endif
