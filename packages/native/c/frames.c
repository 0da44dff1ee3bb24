#define _GNU_SOURCE
#include "frames.h"

#include <string.h>
#include <sys/random.h>

/* Opcode of a Close frame. */
#define OPCODE_CLOSE 8

/* Bytes of a header, as its first two bytes tell. */
static size_t header_size(const uint8_t *header) {
  unsigned length = header[1] & 0x7f;
  size_t size = 2;
  if (length == 126) size += 2;
  if (length == 127) size += 8;
  if (header[1] & 0x80) size += 4;
  return size;
}

static uint64_t payload_size(const uint8_t *header) {
  unsigned length = header[1] & 0x7f;
  if (length < 126) return length;
  uint64_t size = 0;
  for (int i = 0; i < (length == 126 ? 2 : 8); i++) size = size << 8 | header[2 + i];
  return size;
}

void frames_pass(struct frames *f, const void *data, size_t length) {
  const uint8_t *bytes = data;
  while (length > 0) {
    if (f->left > 0) {
      size_t n = f->left < length ? (size_t)f->left : length;
      f->left -= n;
      bytes += n;
      length -= n;
      continue;
    }
    f->header[f->have++] = *bytes++;
    length--;
    if (f->have < 2 || f->have < header_size(f->header)) continue;
    if ((f->header[0] & 0x0f) == OPCODE_CLOSE) f->closed = 1;
    f->left = payload_size(f->header);
    f->have = 0;
  }
}

bool frames_at_boundary(const struct frames *f) { return f->have == 0 && f->left == 0 && !f->closed; }

size_t frames_close(bool masked, uint8_t *frame) {
  static const uint8_t code[] = { 1001 >> 8, 1001 & 0xff };
  frame[0] = 0x80 | OPCODE_CLOSE;
  frame[1] = (masked ? 0x80 : 0) | sizeof code;
  if (!masked) {
    memcpy(frame + 2, code, sizeof code);
    return 4;
  }
  /* Without random numbers the key is 0, which is a valid one. */
  if (getrandom(frame + 2, 4, GRND_NONBLOCK) != 4) memset(frame + 2, 0, 4);
  for (size_t i = 0; i < sizeof code; i++) frame[6 + i] = code[i] ^ frame[2 + i];
  return 8;
}
