#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>

/* Writes the Sec-WebSocket-Accept of a key (RFC 6455 4.2.2): 28 characters and a NUL. */
void websocket_accept(const char *key, size_t length, char accept[29]);

/* Parses one direction of frames (RFC 6455 5.2). A read may end anywhere in a frame. */
struct unmasker {
  uint64_t left;
  unsigned char header[14], mask[4];
  unsigned have, phase;
};

/* Removes the masks from n bytes. Returns the number of bytes that it wrote, at most n + 14. */
size_t unmask(struct unmasker *u, const unsigned char *in, size_t n, unsigned char *out);

#endif
