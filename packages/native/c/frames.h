#ifndef WS_TUNNEL_FRAMES_H
#define WS_TUNNEL_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Where the frames of a WebSocket begin and end (RFC 6455 5.2). Only their headers are read. The layout is the one of
 * FrameTracker in @ws-tunnel/core: the state goes from JavaScript to a thread, and from process to process.
 */
struct frames {
  uint8_t have;       /* bytes of the header that have come */
  uint8_t closed;     /* a Close frame has begun: no frame may follow it */
  uint8_t header[14]; /* these bytes */
  uint64_t left;      /* bytes of the payload that have not come */
};

/* Bytes of the two states of a tunnel. */
#define FRAMES_SIZE (2 * sizeof(struct frames))

/* Notes bytes of the stream. */
void frames_pass(struct frames *frames, const void *bytes, size_t length);

/* Whether a frame may be put into the stream here. */
bool frames_at_boundary(const struct frames *frames);

/* The longest Close frame that `frames_close` writes. */
#define CLOSE_FRAME_MAX 8

/* Writes a Close frame with the code 1001, going away. @returns its length */
size_t frames_close(bool masked, uint8_t *frame);

#endif
