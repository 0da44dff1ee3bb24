/*
 * Load generator and backend of the benchmark, in one process and one thread. Both share a core that the proxy does not use.
 * Bytes are counted where they arrive.
 *
 *   load [END CERTIFICATE KEY]    with TLS at the `client`, at the `backend` or at `both`
 *                                 prints `backend PORT`, then reads commands from stdin:
 *   run WORKLOAD PORT TUNNELS     opens the tunnels through the proxy at PORT, prints `open SECONDS`
 *   go WARM_MS WINDOW_MS PID...   warms up, measures, prints `done {json}`, and keeps up the load until the next `go`
 *   first COUNT PID...            measures that many operations without warming up, then as `go`
 *
 * WORKLOAD: pingpong, message, up, down, echo, connect, connect-2, stall, and the names of `pages`. The CPU time is that of the PIDs within
 * the window.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tls.h"
#include "websocket.h"

#define PAYLOAD 64                          /* bytes of a ping */
#define PONG (2 + PAYLOAD)                  /* with the header of a frame from a server */
#define PING (6 + PAYLOAD)                  /* with the header and the mask of a frame from a client */
#define MESSAGE 16384                       /* payload of a frame that is echoed before the next one is sent */
#define BULK 65535                          /* payload of a bulk frame */
#define SENT_PERIOD (8 + BULK)
#define BACK_PERIOD (4 + BULK)
#define FRAMES 4
#define READ_SIZE (256 * 1024)
#define HEAD_SIZE 4096
#define OPENING_AT_ONCE 64
#define CONNECTS_AT_ONCE 32

enum kind { LISTENER, COMMANDS, BACKEND, CLIENT };
enum role { HEAD, ECHO, SINK, SOURCE };
enum workload { PINGPONG, MESSAGES, UP, DOWN, ECHO_BULK, CONNECT, CONNECT_FEW, STALL, WORKLOADS, HTTP = WORKLOADS };
enum phase { IDLE, OPENING, OPENED, WARMING, MEASURING };

static const char *const names[WORKLOADS] = {"pingpong", "message", "up", "down", "echo", "connect", "connect-2", "stall"};
static const char *const paths[WORKLOADS] = {"/echo", "/echo", "/sink", "/source", "/echo", "/echo", "/echo", "/source"};

/* Plain HTTP: what a client sends and gets. A request with a body is a POST. */
struct page {
  const char *name;
  size_t request_body, response_body;
  int connections, many_fields;
};
static const struct page pages[] = {
    {"http", 0, 1024, 64, 0},         {"http-fields", 0, 1024, 64, 1},    {"http-post-1k", 1024, 1024, 64, 0},
    {"http-post-1m", 1 << 20, 2, 8, 0}, {"http-64k", 0, 64 << 10, 16, 0}, {"http-10m", 0, 10 << 20, 4, 0},
};
#define PAGES (sizeof pages / sizeof *pages)

struct conn {
  int fd;
  enum kind kind;
  enum role role;
  unsigned interest, have;
  struct tls *tls;                          /* NULL for plain TCP */
  int handshaking, more;                    /* more: bytes may wait that epoll does not report */
  char *head;                               /* until the 101 */
  unsigned char small[PONG];
  uint64_t number, sent, received;
  struct unmasker frames;
  unsigned char *pending;                   /* bytes that the peer has not accepted yet */
  size_t pending_at, pending_size;
  size_t to_send, to_read;                  /* bytes of a body; to_read is CHUNKED while the length is unknown */
  char tail[5];                             /* the last bytes of a chunked body */
};
#define CHUNKED ((size_t)-1)

static int epoll, proxy_port, client_tls, backend_tls;
static enum workload workload;
static const struct page *page;
static enum phase phase = IDLE;
static int wanted, opening, opened;
static double warm, window, phase_start, open_start;
static uint64_t first;                      /* operations to measure instead of a time */
static uint64_t operations, bytes, errors, next_number = 1;
static char first_error[200];
static struct conn **clients;
static unsigned char client_frames[FRAMES * SENT_PERIOD], server_frames[(FRAMES + READ_SIZE / BACK_PERIOD + 2) * BACK_PERIOD];
static unsigned char message_sent[8 + MESSAGE], message_back[4 + MESSAGE];
static unsigned char in[READ_SIZE], out[READ_SIZE + 16], filler[READ_SIZE];
static pid_t pids[4096];
static int pid_count;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_of(pid_t pid) {
  clockid_t id;
  struct timespec t;
  if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) != 0) return 0;
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double proxy_cpu(void) {
  double sum = 0;
  for (int i = 0; i < pid_count; i++) sum += cpu_of(pids[i]);
  return sum;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void note_error(const char *what, const char *detail, int length) {
  if (errors++ == 0) snprintf(first_error, sizeof first_error, "%s: %.*s", what, length, detail);
  for (char *c = first_error; *c; c++) if (*c < ' ' || *c == '"' || *c == '\\') *c = ' ';
}

static void watch(struct conn *c, unsigned interest) {
  struct epoll_event event = {.events = interest, .data.ptr = c};
  if (c->interest == interest) return;
  if (epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &event) != 0) fail("epoll_ctl");
  c->interest = interest;
}

static struct conn *add(int fd, enum kind kind, unsigned interest) {
  struct conn *c = calloc(1, sizeof *c);
  if (c == NULL) fail("calloc");
  *c = (struct conn){.fd = fd, .kind = kind, .role = HEAD, .interest = interest};
  struct epoll_event event = {.events = interest, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  return c;
}

static ssize_t send_some(struct conn *c, const void *data, size_t n) {
  return c->tls == NULL ? send(c->fd, data, n, MSG_NOSIGNAL) : tls_send(c->tls, data, n);
}

static ssize_t receive(struct conn *c, void *data, size_t n) {
  return c->tls == NULL ? recv(c->fd, data, n, 0) : tls_recv(c->tls, data, n, &c->more);
}

/* Receives bytes that are only counted. TLS has to decrypt them. */
static ssize_t receive_any(struct conn *c) {
  return c->tls == NULL ? recv(c->fd, in, 1 << 20, MSG_TRUNC) : receive(c, in, READ_SIZE);
}

static void drop(struct conn *c) {
  if (c->tls != NULL) tls_end(c->tls);
  close(c->fd);
  free(c->head);
  free(c->pending);
  free(c);
}

/* Sends all bytes. Bytes that the peer does not accept now are sent later, and nothing is read until then. */
static int send_all(struct conn *c, const unsigned char *data, size_t n) {
  ssize_t sent = send_some(c, data, n);
  if (sent < 0 && errno != EAGAIN) return -1;
  size_t done = sent < 0 ? 0 : (size_t)sent;
  if (done == n) return 0;
  c->pending = malloc(n - done);
  if (c->pending == NULL) fail("malloc");
  memcpy(c->pending, data + done, n - done);
  c->pending_size = n - done;
  c->pending_at = 0;
  watch(c, EPOLLOUT);
  return 0;
}

static int send_pending(struct conn *c) {
  ssize_t sent = send_some(c, c->pending + c->pending_at, c->pending_size - c->pending_at);
  if (sent < 0) return errno == EAGAIN ? 0 : -1;
  c->pending_at += (size_t)sent;
  if (c->pending_at < c->pending_size) return 0;
  free(c->pending);
  c->pending = NULL;
  watch(c, EPOLLIN);
  return 0;
}

/* Sends more of the endless sequence of frames. */
static int send_frames(struct conn *c, const unsigned char *frames, size_t period) {
  size_t at = (size_t)(c->sent % (FRAMES * period));
  ssize_t sent = send_some(c, frames + at, FRAMES * period - at);
  if (sent < 0) return errno == EAGAIN ? 0 : -1;
  c->sent += (uint64_t)sent;
  return 0;
}

static const char *field(const char *head, const char *name) {
  const char *line = strcasestr(head, name);
  return line == NULL ? NULL : line + strlen(name);
}

/* Reads more of a head. Returns its end in c->head, or NULL if it is incomplete. Sets *gone if the connection has ended. */
static char *read_head(struct conn *c, int *gone) {
  if (c->head == NULL && (c->head = malloc(HEAD_SIZE + 1)) == NULL) fail("malloc");
  ssize_t n = receive(c, c->head + c->have, HEAD_SIZE - c->have);
  *gone = n == 0 || (n < 0 && errno != EAGAIN);
  if (n <= 0) return NULL;
  c->have += (unsigned)n;
  c->head[c->have] = 0;
  char *end = strstr(c->head, "\r\n\r\n");
  *gone = end == NULL && c->have == HEAD_SIZE;
  return end == NULL ? NULL : end + 4;
}

/* Sends more of a body. */
static int send_body(struct conn *c) {
  while (c->to_send > 0) {
    ssize_t sent = send_some(c, filler, c->to_send < sizeof filler ? c->to_send : sizeof filler);
    if (sent < 0 && errno != EAGAIN) return -1;
    if (sent < 0) break;
    c->to_send -= (size_t)sent;
  }
  watch(c, c->to_send > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
  return 0;
}

/* Prepares to read the body that the head announces. `rest` bytes of it were read with the head. */
static void expect_body(struct conn *c, const char *end, size_t rest) {
  const char *length = field(c->head, "\r\ncontent-length:");
  int chunked = field(c->head, "\r\ntransfer-encoding: chunked\r\n") != NULL;
  c->to_read = chunked ? CHUNKED : length == NULL ? 0 : strtoul(length, NULL, 10);
  memset(c->tail, 0, sizeof c->tail);
  size_t kept = rest < sizeof c->tail ? rest : sizeof c->tail;
  memcpy(c->tail + sizeof c->tail - kept, end + rest - kept, kept);
  if (chunked && memcmp(c->tail, "0\r\n\r\n", 5) == 0) c->to_read = 0;
  else if (!chunked) c->to_read -= rest < c->to_read ? rest : c->to_read;
}

/* Reads more of the body. Returns -1 if the connection has ended. A body has no other bytes than those of `filler`. */
static int read_body(struct conn *c) {
  ssize_t n = receive(c, in, READ_SIZE);
  if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
  if (c->to_read != CHUNKED) {
    c->to_read -= (size_t)n < c->to_read ? (size_t)n : c->to_read;
    return 0;
  }
  size_t kept = (size_t)n < sizeof c->tail ? (size_t)n : sizeof c->tail;
  memmove(c->tail, c->tail + kept, sizeof c->tail - kept);
  memcpy(c->tail + sizeof c->tail - kept, in + n - kept, kept);
  if (memcmp(c->tail, "0\r\n\r\n", 5) == 0) c->to_read = 0;
  return 0;
}

static int respond_page(struct conn *c) {
  char head[160];
  int n = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", page->response_body);
  c->have = 0;
  /* A small response leaves in one write. */
  if (page->response_body <= 1024) {
    unsigned char whole[sizeof head + 1024];
    memcpy(whole, head, (size_t)n);
    memcpy(whole + n, filler, page->response_body);
    return send_all(c, whole, (size_t)n + page->response_body);
  }
  if (send_all(c, (unsigned char *)head, (size_t)n) != 0) return -1;
  c->to_send = page->response_body;
  return send_body(c);
}

static int backend_respond(struct conn *c, char *end) {
  char response[400];
  const char *key = field(c->head, "\r\nsec-websocket-key: ");
  if (key == NULL) {
    expect_body(c, end, c->have - (size_t)(end - c->head));
    return c->to_read == 0 ? respond_page(c) : 0;
  }
  char accept[29];
  websocket_accept(key, strcspn(key, "\r"), accept);
  int n = snprintf(response, sizeof response,
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
  const char *line = strchr(c->head, '\r');
  *(char *)line = 0;
  c->role = strstr(c->head, "/sink") ? SINK : strstr(c->head, "/source") ? SOURCE : ECHO;
  size_t rest = c->have - (size_t)(end - c->head);
  if (send_all(c, (unsigned char *)response, (size_t)n) != 0) return -1;
  if (rest > 0 && c->role == ECHO) {
    size_t length = unmask(&c->frames, (unsigned char *)end, rest, out);
    if (send_all(c, out, length) != 0) return -1;
  }
  free(c->head);
  c->head = NULL;
  if (c->role == SOURCE) watch(c, EPOLLOUT);
  return 0;
}

static int backend_ready(struct conn *c, unsigned events) {
  if (c->pending != NULL) return send_pending(c);
  if (c->role == HEAD && c->to_send > 0) return events & (EPOLLHUP | EPOLLERR) ? -1 : send_body(c);
  if (c->role == HEAD && c->to_read > 0) return read_body(c) != 0 ? -1 : c->to_read == 0 ? respond_page(c) : 0;
  if (c->role == HEAD) {
    int gone;
    char *end = read_head(c, &gone);
    return gone ? -1 : end == NULL ? 0 : backend_respond(c, end);
  }
  if (c->role == SOURCE) return events & (EPOLLHUP | EPOLLERR) ? -1 : send_frames(c, server_frames, BACK_PERIOD);
  ssize_t n = c->role == SINK ? receive_any(c) : receive(c, in, READ_SIZE);
  if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
  if (c->role == SINK) {
    if (workload == UP) bytes += (uint64_t)n;
    return 0;
  }
  return send_all(c, out, unmask(&c->frames, in, (size_t)n, out));
}

static void new_client(void) {
  static unsigned host;
  struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)proxy_port)}, own = {.sin_family = AF_INET};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  if (fd < 0) fail("socket");
  /* Many source addresses, because the ports of one would soon all be in TIME_WAIT. */
  own.sin_addr.s_addr = htonl(0x7f000001 + host++ % 200);
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&own, sizeof own) != 0) fail("bind");
  if (connect(fd, (struct sockaddr *)&peer, sizeof peer) != 0 && errno != EINPROGRESS) fail("connect");
  struct conn *c = add(fd, CLIENT, EPOLLOUT);
  c->number = next_number++;
  if (client_tls) c->tls = tls_client(fd), c->handshaking = 1;
  opening++;
}

/* Fills in the payload of the tunnel's current ping. */
static void fill(unsigned char *payload, const struct conn *c) {
  uint64_t words[PAYLOAD / 8];
  for (unsigned i = 0; i < PAYLOAD / 8; i++) words[i] = (c->number << 40 | c->sent) * (2 * i + 0x9e3779b97f4a7c15u);
  memcpy(payload, words, PAYLOAD);
}

static int ping(struct conn *c) {
  unsigned char frame[PING] = {0x82, 0x80 | PAYLOAD};
  c->sent++;
  fill(frame + 6, c);
  return send_some(c, frame, PING) == PING ? 0 : -1;
}

static int request_page(struct conn *c) {
  static const char fields[] =
      "Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: https://bench.test/start\r\n"
      "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nCache-Control: no-cache\r\nSec-Fetch-Mode: cors\r\n"
      "X-Request-Id: 7b0c6f0a-5d2e-4c1b-9a53-0c1f6a3a0f11\r\n";
  char text[1024 + 1024];
  int n = snprintf(text, sizeof text, "%s /http HTTP/1.1\r\nHost: bench.test\r\nAccept: */*\r\nUser-Agent: bench\r\n%s",
                   page->request_body > 0 ? "POST" : "GET", page->many_fields ? fields : "");
  if (page->request_body > 0)
    n += snprintf(text + n, sizeof text - (size_t)n, "Content-Type: text/plain\r\nContent-Length: %zu\r\n", page->request_body);
  n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
  c->have = 0;
  c->to_read = 0;
  c->to_send = page->request_body;
  if (c->to_send > 0 && c->to_send <= 1024) {
    memcpy(text + n, filler, c->to_send);
    n += (int)c->to_send;
    c->to_send = 0;
  }
  if (send_some(c, text, (size_t)n) != n) return -1;
  return c->to_send > 0 ? send_body(c) : 0;
}

static int connects(void) {
  return workload == CONNECT || workload == CONNECT_FEW;
}

static int client_connected(struct conn *c) {
  char head[400];
  watch(c, EPOLLIN);
  if (workload == HTTP) {
    opening--;
    c->role = ECHO;
    return request_page(c);
  }
  int n = snprintf(head, sizeof head,
                   "GET %s HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", paths[workload]);
  return send_some(c, head, (size_t)n) == n ? 0 : -1;
}

static int client_start(struct conn *c) {
  if (workload == MESSAGES) return send_all(c, message_sent, sizeof message_sent);
  if (workload == PINGPONG || connects()) return ping(c);
  if (workload == UP || workload == ECHO_BULK) watch(c, EPOLLIN | EPOLLOUT);
  if (workload == DOWN || workload == STALL) watch(c, EPOLLIN);
  return 0;
}

static int client_switched(struct conn *c) {
  if (strncmp(c->head, "HTTP/1.1 101", 12) != 0) {
    note_error("no 101", c->head, 80);
    return -1;
  }
  free(c->head);
  c->head = NULL;
  c->have = 0;
  c->role = ECHO;
  opening--;
  if (connects()) return client_start(c);
  opened++;
  /* Reads nothing before `go`, so that a source can only fill the buffers of the proxy. */
  if (workload == STALL || workload == DOWN) watch(c, 0);
  clients[opened - 1] = c;
  return 0;
}

static int pong(struct conn *c) {
  unsigned char expected[PONG] = {0x82, PAYLOAD};
  ssize_t n = receive(c, c->small + c->have, PONG - c->have);
  if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
  c->have += (unsigned)n;
  if (c->have < PONG) return 0;
  c->have = 0;
  fill(expected + 2, c);
  if (memcmp(expected, c->small, PONG) != 0) {
    note_error("wrong pong", "", 0);
    return -1;
  }
  operations++;
  bytes += PAYLOAD * 2;
  if (workload == PINGPONG) return ping(c);
  drop(c);
  new_client();
  return 1;
}

static int page_read(struct conn *c) {
  if (c->to_read > 0) {
    if (read_body(c) != 0) return -1;
  } else {
    int gone;
    char *end = read_head(c, &gone);
    if (gone) return -1;
    if (end == NULL) return 0;
    expect_body(c, end, c->have - (size_t)(end - c->head));
    if (strncmp(c->head, "HTTP/1.1 200", 12) != 0) {
      note_error("no page", c->head, 80);
      return -1;
    }
  }
  if (c->to_read > 0) return 0;
  operations++;
  bytes += page->request_body + page->response_body;
  return request_page(c);
}

static int echoed(struct conn *c, unsigned events) {
  if (events & EPOLLIN) {
    ssize_t n = receive(c, in, READ_SIZE);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return -1;
    if (n > 0) {
      if (memcmp(in, server_frames + c->received % BACK_PERIOD, (size_t)n) != 0) {
        note_error("wrong echo", "", 0);
        return -1;
      }
      c->received += (uint64_t)n;
      bytes += (uint64_t)n;
    }
  }
  return events & EPOLLOUT ? send_frames(c, client_frames, SENT_PERIOD) : 0;
}

static int message(struct conn *c) {
  ssize_t n = receive(c, in, sizeof message_back - c->received);
  if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
  if (memcmp(in, message_back + c->received, (size_t)n) != 0) {
    note_error("wrong message", "", 0);
    return -1;
  }
  c->received += (uint64_t)n;
  if (c->received < sizeof message_back) return 0;
  c->received = 0;
  bytes += MESSAGE;
  return send_all(c, message_sent, sizeof message_sent);
}

/* Returns -1 if the connection is finished, 1 if another connection has replaced it. */
static int client_ready(struct conn *c, unsigned events) {
  if (c->handshaking) {
    int result = tls_handshake(c->tls);
    if (result == 0) watch(c, EPOLLIN);
    if (result <= 0) return result;
    c->handshaking = 0;
    return client_connected(c);
  }
  if (c->role == HEAD && c->interest == EPOLLOUT) return client_connected(c);
  if (c->role == HEAD) {
    int gone;
    char *end = read_head(c, &gone);
    return gone ? -1 : end == NULL ? 0 : client_switched(c);
  }
  if (c->pending != NULL) return send_pending(c);
  switch (workload) {
    case MESSAGES:
      return message(c);
    case PINGPONG:
    case CONNECT:
    case CONNECT_FEW:
      return pong(c);
    case HTTP:
      if (c->to_send > 0 && send_body(c) != 0) return -1;
      return events & EPOLLIN ? page_read(c) : 0;
    case ECHO_BULK:
      return echoed(c, events);
    case UP:
      return events & EPOLLOUT ? send_frames(c, client_frames, SENT_PERIOD) : -1;
    default: {
      ssize_t n = receive_any(c);
      if (n <= 0) return n < 0 && errno == EAGAIN ? 0 : -1;
      bytes += (uint64_t)n;
      return 0;
    }
  }
}

static void accept_all(int listener) {
  int one = 1, fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *c = add(fd, BACKEND, EPOLLIN);
    if (backend_tls) c->tls = tls_server(fd);
  }
}

static void begin(enum phase next) {
  phase = next;
  phase_start = now();
}

static void command(void) {
  static char text[65536];
  static size_t have;
  ssize_t n = read(0, text + have, sizeof text - 1 - have);
  if (n <= 0) exit(0);
  text[have += (size_t)n] = 0;
  char *end = strchr(text, '\n');
  if (end == NULL) return;
  *end = 0;
  char name[20];
  if (sscanf(text, "run %19s %d %d", name, &proxy_port, &wanted) == 3) {
    int found = 0;
    for (int i = 0; i < WORKLOADS; i++) if (strcmp(names[i], name) == 0) workload = (enum workload)i, found = 1;
    for (size_t i = 0; i < PAGES; i++) if (strcmp(pages[i].name, name) == 0) workload = HTTP, page = &pages[i], found = 1;
    if (!found) exit(2);
    clients = calloc((size_t)wanted + 1, sizeof(struct conn *));
    if (clients == NULL) fail("calloc");
    open_start = now();
    begin(OPENING);
    if (connects() || workload == HTTP) wanted = 0;
  } else if (strncmp(text, "go", 2) == 0 || strncmp(text, "first", 5) == 0) {
    static int started;
    int by_count = text[0] == 'f';
    char *at = text + (by_count ? 5 : 2);
    first = by_count ? strtoull(at, &at, 10) : 0;
    warm = by_count ? 0 : (double)strtol(at, &at, 10) / 1e3;
    window = by_count ? 0 : (double)strtol(at, &at, 10) / 1e3;
    pid_count = 0;
    for (long pid = strtol(at, &at, 10); pid > 0 && pid_count < 4096; pid = strtol(at, &at, 10)) pids[pid_count++] = (pid_t)pid;
    int fresh = started ? 0 : workload == CONNECT ? CONNECTS_AT_ONCE : workload == CONNECT_FEW ? 2 : workload == HTTP ? page->connections : 0;
    while (fresh-- > 0) new_client();
    for (int i = 0; i < opened && !started; i++) if (client_start(clients[i]) != 0) note_error("start", "", 0);
    started = 1;
    begin(WARMING);
  }
  have = 0;
}

static void handle(struct conn *c, unsigned events) {
  if (c->kind == LISTENER) accept_all(c->fd);
  else if (c->kind == COMMANDS) command();
  else if (c->kind == BACKEND) {
    int result = backend_ready(c, events);
    while (result == 0 && c->more && c->pending == NULL) result = backend_ready(c, EPOLLIN);
    if (result < 0) drop(c);
  } else {
    int result = client_ready(c, events);
    while (result == 0 && c->more && c->pending == NULL && c->interest & EPOLLIN) result = client_ready(c, EPOLLIN);
    if (result >= 0) return;
    /* A server may close a kept-alive connection at any time. */
    if (workload != HTTP || c->have > 0 || c->role == HEAD) note_error("a connection ended", "", 0);
    if (c->role == HEAD) opening--;
    if (c->role == HEAD || connects() || workload == HTTP) drop(c);
    else close(c->fd);
    if (errors > 1000) {
      printf("done {\"operations\":0,\"bytes\":0,\"seconds\":1,\"cpu\":0,\"load\":0,\"errors\":%llu,\"error\":\"%s\"}\n",
             (unsigned long long)errors, first_error);
      exit(0);
    }
    if (connects() || workload == HTTP) new_client();
  }
}

static void advance(void) {
  static double cpu, load;
  if (phase == OPENING) {
    while (opening < OPENING_AT_ONCE && opened + opening < wanted) new_client();
    if (opened < wanted) return;
    phase = OPENED;
    printf("open %.6f\n", now() - open_start);
  } else if (phase == WARMING && now() - phase_start >= warm) {
    operations = bytes = 0;
    cpu = proxy_cpu();
    load = cpu_of(getpid());
    begin(MEASURING);
  } else if (phase == MEASURING && (first > 0 ? operations >= first : now() - phase_start >= window)) {
    double seconds = now() - phase_start;
    printf("done {\"operations\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpu\":%.6f,\"load\":%.6f,\"errors\":%llu,\"error\":\"%s\"}\n",
           (unsigned long long)operations, (unsigned long long)bytes, seconds, proxy_cpu() - cpu, cpu_of(getpid()) - load,
           (unsigned long long)errors, first_error);
    phase = OPENED;
  }
}

static void make_frames(void) {
  memset(filler, 'x', sizeof filler);
  unsigned char *payload = client_frames + 8;
  uint64_t seed = 88172645463325252u;
  for (size_t i = 0; i < BULK; i++) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    payload[i] = (unsigned char)seed;
  }
  memcpy(client_frames, "\x82\xfe\xff\xff\0\0\0\0", 8);
  memcpy(server_frames, "\x82\x7e\xff\xff", 4);
  memcpy(server_frames + 4, payload, BULK);
  memcpy(message_sent, "\x82\xfe\x40\0\0\0\0\0", 8);
  memcpy(message_sent + 8, payload, MESSAGE);
  memcpy(message_back, "\x82\x7e\x40\0", 4);
  memcpy(message_back + 4, payload, MESSAGE);
  for (int i = 1; i < FRAMES; i++) memcpy(client_frames + i * SENT_PERIOD, client_frames, SENT_PERIOD);
  for (size_t i = 1; i < sizeof server_frames / BACK_PERIOD; i++) memcpy(server_frames + i * BACK_PERIOD, server_frames, BACK_PERIOD);
}

int main(int argc, char **argv) {
  if (argc == 4) {
    client_tls = strcmp(argv[1], "backend") != 0;
    backend_tls = strcmp(argv[1], "client") != 0;
    tls_begin(argv[2], argv[3]);
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  setvbuf(stdout, NULL, _IOLBF, 0);
  make_frames();

  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof own;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&own, size) != 0 || listen(listener, 4096) != 0) fail("listen");
  getsockname(listener, (struct sockaddr *)&own, &size);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  add(listener, LISTENER, EPOLLIN);
  add(0, COMMANDS, EPOLLIN);
  printf("backend %d\n", ntohs(own.sin_port));
  for (;;) {
    struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, phase == OPENING || phase >= WARMING ? 5 : -1);
    for (int i = 0; i < n; i++) handle(events[i].data.ptr, events[i].events);
    advance();
  }
}
