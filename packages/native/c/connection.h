#ifndef WS_TUNNEL_CONNECTION_H
#define WS_TUNNEL_CONNECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct pump;
struct tunnel;

/* What a tunnel needs until it has its client: address of the backend, request head, first bytes of the response. */
struct connection {
  struct sockaddr_storage address;
  socklen_t address_size;
  char *request; /* the head of the request */
  size_t request_size;
  size_t sent; /* bytes of the request that were written */
  char *response; /* from the first read; the pump's thread owns it until EVENT_RESPONSE, then the JavaScript thread */
  size_t response_size;
  _Atomic bool connected;
};

/* Allocates a connection with room for a request head of this size, which the caller fills in. NULL without memory. */
struct connection *connection_new(size_t request_size);

void connection_free(struct connection *connection);

/*
 * Returns the descriptor, which then belongs to the caller. To be called on the JavaScript thread after EVENT_RESPONSE,
 * because the pump does not touch the descriptor between that event and the next command.
 */
int connection_release(struct tunnel *tunnel);

/* The rest is for the pump's thread. */

/* Connects. */
void connection_start(struct pump *pump, struct tunnel *tunnel);

/* To be called when epoll reports events of the backend's end. */
void connection_event(struct pump *pump, struct tunnel *tunnel, uint32_t epoll_events);

#endif
