#include "websocket.h"

#include <string.h>

static uint32_t rotate(uint32_t x, int n) { return x << n | x >> (32 - n); }

/* SHA-1 (FIPS 180-4) of at most 119 bytes. */
static void sha1(const char *text, size_t length, unsigned char digest[20]) {
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  unsigned char padded[128] = {0};
  memcpy(padded, text, length);
  padded[length] = 0x80;
  size_t blocks = (length + 9 + 63) / 64;
  for (int i = 0; i < 4; i++) padded[blocks * 64 - 1 - i] = (unsigned char)(length * 8 >> (8 * i));
  for (size_t b = 0; b < blocks; b++) {
    uint32_t w[80];
    for (int t = 0; t < 16; t++) {
      const unsigned char *p = padded + b * 64 + t * 4;
      w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    }
    for (int t = 16; t < 80; t++) w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    uint32_t a = h[0], bb = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 80; t++) {
      uint32_t f, k;
      if (t < 20) f = (bb & c) | (~bb & d), k = 0x5a827999;
      else if (t < 40) f = bb ^ c ^ d, k = 0x6ed9eba1;
      else if (t < 60) f = (bb & c) | (bb & d) | (c & d), k = 0x8f1bbcdc;
      else f = bb ^ c ^ d, k = 0xca62c1d6;
      uint32_t next = rotate(a, 5) + f + e + k + w[t];
      e = d, d = c, c = rotate(bb, 30), bb = a, a = next;
    }
    h[0] += a, h[1] += bb, h[2] += c, h[3] += d, h[4] += e;
  }
  for (int i = 0; i < 20; i++) digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

void websocket_accept(const char *key, size_t length, char accept[29]) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char text[100];
  unsigned char digest[21] = {0};
  if (length > 60) length = 60;
  memcpy(text, key, length);
  memcpy(text + length, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
  sha1(text, length + 36, digest);
  for (int i = 0; i < 7; i++) {
    uint32_t three = (uint32_t)digest[i * 3] << 16 | (uint32_t)digest[i * 3 + 1] << 8 | digest[i * 3 + 2];
    for (int j = 0; j < 4; j++) accept[i * 4 + j] = letters[three >> (18 - 6 * j) & 63];
  }
  accept[27] = '=';
  accept[28] = 0;
}

static unsigned header_size(const unsigned char *header) {
  unsigned length = header[1] & 0x7f;
  return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (header[1] & 0x80 ? 4 : 0);
}

size_t unmask(struct unmasker *u, const unsigned char *in, size_t n, unsigned char *out) {
  size_t written = 0;
  for (size_t i = 0; i < n;) {
    if (u->left == 0) {
      u->header[u->have++] = in[i++];
      if (u->have < 2 || u->have < header_size(u->header)) continue;
      unsigned plain = u->have - (u->header[1] & 0x80 ? 4 : 0);
      memset(u->mask, 0, 4);
      if (u->header[1] & 0x80) memcpy(u->mask, u->header + plain, 4);
      u->header[1] &= 0x7f;
      u->left = u->header[1];
      if (plain > 2) u->left = 0;
      for (unsigned j = 2; j < plain; j++) u->left = u->left << 8 | u->header[j];
      memcpy(out + written, u->header, plain);
      written += plain;
      u->have = 0;
      u->phase = 0;
      continue;
    }
    size_t take = n - i < u->left ? n - i : (size_t)u->left;
    uint32_t mask;
    memcpy(&mask, u->mask, 4);
    if (mask == 0) memcpy(out + written, in + i, take);
    else for (size_t j = 0; j < take; j++) out[written + j] = in[i + j] ^ u->mask[(u->phase + j) & 3];
    u->phase = (unsigned)((u->phase + take) & 3);
    u->left -= take;
    written += take;
    i += take;
  }
  return written;
}
