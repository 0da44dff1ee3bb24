/*
 * Hands live tunnels over to another process on the same machine. The old process detaches a tunnel: its thread stops to
 * touch the two sockets. The descriptors go through a unix socket (SCM_RIGHTS). The new process adopts the tunnel detached,
 * and resumes it when the old process has given it up. At any moment one process moves its bytes.
 */
#define _GNU_SOURCE
#include "handover.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "addon.h"
#include "frames.h"

/* The kernel passes at most this many descriptors in one message. */
#define MAX_DESCRIPTORS 253

/* What has ended already, as bits. The same numbers are in src/index.ts. */
enum { CLIENT_READ_DONE = 1, CLIENT_WRITE_DONE = 2, BACKEND_READ_DONE = 4, BACKEND_WRITE_DONE = 8 };

/* detach(slot) */
napi_value addon_detach(napi_env env, napi_callback_info info) { return command(env, info, COMMAND_DETACH); }

/* resume(slot) */
napi_value addon_resume(napi_env env, napi_callback_info info) { return command(env, info, COMMAND_RESUME); }

static void set(napi_env env, napi_value object, const char *name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

static napi_value held_of(napi_env env, const struct flow *flow) {
  napi_value buffer = NULL;
  napi_create_buffer_copy(env, flow->held_to - flow->held_from, flow->held + flow->held_from, NULL, &buffer);
  return buffer;
}

/* detached(slot): what another process needs; undefined for a tunnel that was not detached. */
napi_value addon_detached(napi_env env, napi_callback_info info) {
  napi_value slot, result = NULL;
  struct tunnel *t = read_arguments(env, info, 1, &slot) ? tunnel_at(env, slot) : NULL;
  if (t == NULL || t->closed || !t->detached) return NULL;
  const struct end *client = &t->end[CLIENT], *backend = &t->end[BACKEND];
  napi_create_object(env, &result);
  set(env, result, "clientFd", number(env, client->fd));
  set(env, result, "backendFd", number(env, backend->fd));
  set(env, result, "fromClient", held_of(env, &t->flow[CLIENT]));
  set(env, result, "fromBackend", held_of(env, &t->flow[BACKEND]));
  if (t->flow[CLIENT].frames != NULL) {
    napi_value frames = NULL;
    napi_create_buffer_copy(env, FRAMES_SIZE, t->flow[CLIENT].frames, NULL, &frames);
    set(env, result, "frames", frames);
  }
  set(env, result, "done", number(env,
    (client->read_done ? CLIENT_READ_DONE : 0) | (client->write_done ? CLIENT_WRITE_DONE : 0) |
    (backend->read_done ? BACKEND_READ_DONE : 0) | (backend->write_done ? BACKEND_WRITE_DONE : 0)));
  return result;
}

/* @returns the number; 0 for one that no count can be. */
static double read_number(napi_env env, napi_value value) {
  double result = 0;
  napi_get_value_double(env, value, &result);
  return result >= 0 && result <= 9007199254740991 ? result : 0;
}

static void store_count(struct tunnel *t, int end, double bytes) {
  atomic_store_explicit(&t->flow[end].bytes, (uint64_t)bytes, memory_order_relaxed);
}

/*
 * adoptDetached(clientFd, backendFd, fromClient, fromBackend, done, bytesFromClient, bytesFromBackend, idle, keepAlive,
 * thread, frames): a tunnel of another process, which waits for `resume`. The descriptors then belong to the tunnel.
 */
napi_value addon_adopt_detached(napi_env env, napi_callback_info info) {
  struct addon *addon = addon_of(env);
  napi_value values[11];
  int32_t client = -1, backend = -1;
  if (!read_arguments_with(env, info, 10, 11, values)) return NULL;
  struct pump *pump = pump_at(env, addon, values[9]);
  if (pump == NULL) return NULL;
  napi_get_value_int32(env, values[0], &client);
  napi_get_value_int32(env, values[1], &backend);
  struct tunnel *t = tunnel_new(client, backend, read_keep_alive(env, values[8]));
  if (t == NULL) return throw_error(env, "cannot adopt a tunnel", ENOMEM);
  bool held = hold_buffer(env, t, CLIENT, values[2]) && hold_buffer(env, t, BACKEND, values[3]);
  /* After the bytes that wait: the other process has followed their frames. */
  if (!held || !read_frames(env, t, values[10]) || !acquire_slot(addon, t)) {
    t->end[CLIENT].fd = t->end[BACKEND].fd = -1;
    tunnel_free(t);
    return throw_error(env, "cannot adopt a tunnel", ENOMEM);
  }
  unsigned done = (unsigned)read_number(env, values[4]);
  uint64_t now = clock_ms(), idle = (uint64_t)read_number(env, values[7]);
  t->detached = true;
  t->end[CLIENT].read_done = t->flow[CLIENT].draining = done & CLIENT_READ_DONE;
  t->end[BACKEND].read_done = t->flow[BACKEND].draining = done & BACKEND_READ_DONE;
  t->end[CLIENT].write_done = done & CLIENT_WRITE_DONE;
  t->end[BACKEND].write_done = done & BACKEND_WRITE_DONE;
  store_count(t, CLIENT, read_number(env, values[5]));
  store_count(t, BACKEND, read_number(env, values[6]));
  atomic_store_explicit(&t->active_at, now > idle ? now - idle : 0, memory_order_relaxed);
  return start(env, addon, t, pump, COMMAND_ADOPT);
}

/* The data of a message are one byte, because a stream socket passes no descriptors without data. */
union descriptors {
  struct cmsghdr header;
  char room[CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
};

static int read_descriptor(napi_env env, napi_value value) {
  int32_t fd = -1;
  return napi_get_value_int32(env, value, &fd) == napi_ok ? fd : -1;
}

/* sendDescriptors(socketFd, fds) */
napi_value addon_send_descriptors(napi_env env, napi_callback_info info) {
  napi_value values[2];
  uint32_t count = 0;
  int fds[MAX_DESCRIPTORS];
  if (!read_arguments(env, info, 2, values)) return NULL;
  if (napi_get_array_length(env, values[1], &count) != napi_ok || count == 0 || count > MAX_DESCRIPTORS) {
    napi_throw_range_error(env, NULL, "expected 1 to 253 descriptors");
    return NULL;
  }
  for (uint32_t i = 0; i < count; i++) {
    napi_value fd;
    napi_get_element(env, values[1], i, &fd);
    fds[i] = read_descriptor(env, fd);
  }
  union descriptors control = { .room = { 0 } };
  char byte = 0;
  struct iovec data = { .iov_base = &byte, .iov_len = 1 };
  struct msghdr message = {
    .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int))
  };
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  ssize_t sent;
  do sent = sendmsg(read_descriptor(env, values[0]), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? throw_error(env, "cannot send descriptors", errno) : NULL;
}

/* receiveDescriptors(socketFd): the descriptors of one message. */
napi_value addon_receive_descriptors(napi_env env, napi_callback_info info) {
  napi_value socket, result = NULL;
  if (!read_arguments(env, info, 1, &socket)) return NULL;
  union descriptors control;
  char byte;
  struct iovec data = { .iov_base = &byte, .iov_len = 1 };
  struct msghdr message = {
    .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
  };
  ssize_t n;
  do n = recvmsg(read_descriptor(env, socket), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  if (n < 0) return throw_error(env, "cannot receive descriptors", errno);
  napi_create_array(env, &result);
  uint32_t count = 0;
  for (struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&message) : NULL; h != NULL; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + sizeof(int) <= h->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd;
      memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
      napi_set_element(env, result, count++, number(env, fd));
    }
  }
  return result;
}

/* peerUser(socketFd): the user of the process at the other end of a unix socket. */
napi_value addon_peer_user(napi_env env, napi_callback_info info) {
  napi_value socket;
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (!read_arguments(env, info, 1, &socket)) return NULL;
  if (getsockopt(read_descriptor(env, socket), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
    return throw_error(env, "cannot read the user of the peer", errno);
  return number(env, peer.uid);
}
