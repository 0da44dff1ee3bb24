/*
 * The addon's functions for JavaScript, in Node-API. What a reader needs to know about it: `napi_env` is one JavaScript
 * thread (the process's, or a worker's), `napi_value` is a JavaScript value that lives until the call returns, and
 * every call returns a status. A thread-safe function is a queue: another thread puts a call into it, and the JavaScript
 * thread makes that call. While the queue is referenced, the process does not exit, as with an open socket.
 *
 * All code of this file runs on the JavaScript thread, except `pump_on_told`. Each environment has its own addon.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "addon.h"
#include "connection.h"
#include "frames.h"
#include "handover.h"
#include "pump.h"
#include "tunnel.h"

#define NO_SLOT UINT32_MAX

/* JavaScript knows a tunnel by the number of its slot. A free slot holds the number of the next free one. */
struct slot {
  struct tunnel *tunnel;
  uint32_t next_free;
};

napi_value throw_error(napi_env env, const char *what, int error) {
  char message[128];
  snprintf(message, sizeof message, "%s: %s", what, strerror(error));
  napi_throw_error(env, NULL, message);
  return NULL;
}

struct addon *addon_of(napi_env env) {
  struct addon *addon = NULL;
  napi_get_instance_data(env, (void **)&addon);
  return addon;
}

bool read_arguments_with(napi_env env, napi_callback_info info, size_t wanted, size_t all, napi_value *values) {
  size_t count = all;
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok && count >= wanted) return true;
  napi_throw_type_error(env, NULL, "too few arguments");
  return false;
}

bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  return read_arguments_with(env, info, wanted, wanted, values);
}

struct tunnel *tunnel_at(napi_env env, napi_value value) {
  struct addon *addon = addon_of(env);
  uint32_t slot = NO_SLOT;
  if (napi_get_value_uint32(env, value, &slot) == napi_ok && slot < addon->size && addon->slots[slot].tunnel != NULL) {
    return addon->slots[slot].tunnel;
  }
  napi_throw_range_error(env, NULL, "no such tunnel");
  return NULL;
}

bool acquire_slot(struct addon *addon, struct tunnel *tunnel) {
  if (addon->first_free == NO_SLOT) {
    uint32_t size = addon->size == 0 ? 64 : addon->size * 2;
    struct slot *slots = realloc(addon->slots, size * sizeof *slots);
    if (slots == NULL) return false;
    for (uint32_t i = addon->size; i < size; i++) {
      slots[i].tunnel = NULL;
      slots[i].next_free = i + 1 < size ? i + 1 : NO_SLOT;
    }
    addon->first_free = addon->size;
    addon->slots = slots;
    addon->size = size;
  }
  tunnel->slot = addon->first_free;
  addon->first_free = addon->slots[tunnel->slot].next_free;
  addon->slots[tunnel->slot].tunnel = tunnel;
  addon->open++;
  return true;
}

static void release_slot(napi_env env, struct addon *addon, struct tunnel *tunnel) {
  addon->slots[tunnel->slot].tunnel = NULL;
  addon->slots[tunnel->slot].next_free = addon->first_free;
  addon->first_free = tunnel->slot;
  pump_command(tunnel->pump, tunnel, COMMAND_FREE, false);
  if (--addon->open == 0) napi_unref_threadsafe_function(env, addon->queue);
}

/* On a pump's thread: queues a call of `call_listeners` for the pump. */
static void pump_on_told(void *context, struct pump *pump) {
  struct addon *addon = context;
  napi_call_threadsafe_function(addon->queue, pump, napi_tsfn_nonblocking);
}

napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

double bytes_of(struct tunnel *tunnel, int end) {
  return (double)atomic_load_explicit(&tunnel->flow[end].bytes, memory_order_relaxed);
}

/* Calls listener(slot, events, clientErrno, backendErrno, bytesFromClient, bytesFromBackend, response). */
static void call_listener(napi_env env, napi_value listener, struct addon *addon, struct tunnel *tunnel) {
  unsigned events = atomic_exchange(&tunnel->events, 0);
  napi_value receiver, response;
  napi_get_undefined(env, &receiver);
  response = receiver;
  if (events & EVENT_RESPONSE) {
    tunnel->responded = true;
    napi_create_string_latin1(env, tunnel->connection->response, tunnel->connection->response_size, &response);
  }
  napi_value arguments[] = {
    number(env, tunnel->slot),
    number(env, events),
    number(env, events & EVENT_CLIENT_BROKEN ? tunnel->end[CLIENT].error : 0),
    number(env, events & EVENT_BACKEND_BROKEN ? tunnel->end[BACKEND].error : 0),
    number(env, bytes_of(tunnel, CLIENT)),
    number(env, bytes_of(tunnel, BACKEND)),
    response,
  };
  if (napi_call_function(env, receiver, listener, 7, arguments, NULL) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  if (events & EVENT_CLOSED) release_slot(env, addon, tunnel);
}

/* Calls the listener for each tunnel of a pump that has events. */
static void call_listeners(napi_env env, napi_value listener, void *context, void *data) {
  if (env == NULL) return;
  for (struct tunnel *tunnel = pump_fetch_told(data), *next; tunnel != NULL; tunnel = next) {
    napi_handle_scope scope;
    next = tunnel->next_told;
    napi_open_handle_scope(env, &scope);
    call_listener(env, listener, context, tunnel);
    napi_close_handle_scope(env, scope);
  }
}

/* The environment ends, by process.exit() or worker.terminate(). Stops the threads first, then frees their tunnels. */
static void stop(void *data) {
  struct addon *addon = data;
  for (int i = 0; i < MAX_PUMPS; i++) {
    if (addon->pumps[i] != NULL) pump_stop(addon->pumps[i]);
  }
  for (uint32_t i = 0; i < addon->size; i++) {
    if (addon->slots[i].tunnel != NULL) tunnel_free(addon->slots[i].tunnel);
  }
  free(addon->slots);
}

static void free_addon(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

/* listen(listener): sets the listener for the events of all tunnels. It can be called once. */
static napi_value addon_listen(napi_env env, napi_callback_info info) {
  struct addon *addon = addon_of(env);
  napi_value listener, name;
  if (!read_arguments(env, info, 1, &listener)) return NULL;
  if (addon->queue != NULL) {
    napi_throw_error(env, NULL, "there is a listener already");
    return NULL;
  }
  napi_create_string_utf8(env, "ws-tunnel", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(
        env, listener, NULL, name, 0, 1, NULL, NULL, addon, call_listeners, &addon->queue) != napi_ok) {
    napi_throw_type_error(env, NULL, "expected a function");
    return NULL;
  }
  napi_unref_threadsafe_function(env, addon->queue);
  /* Hooks run last in, first out: this one joins the threads before the hook of the queue that they use. */
  napi_add_env_cleanup_hook(env, stop, addon);
  return NULL;
}

/* @returns a copy of a socket's descriptor, because JavaScript closes its own; -1, with errno, if that fails. */
static int duplicate(napi_env env, napi_value value) {
  int32_t fd = -1;
  int type;
  socklen_t size = sizeof type;
  if (napi_get_value_int32(env, value, &fd) != napi_ok) fd = -1;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) return -1;
  return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

bool hold_buffer(napi_env env, struct tunnel *tunnel, int end, napi_value buffer) {
  void *bytes = NULL;
  size_t length = 0;
  if (napi_get_buffer_info(env, buffer, &bytes, &length) != napi_ok || length == 0) return true;
  atomic_store_explicit(&tunnel->flow[end].bytes, length, memory_order_relaxed);
  if (tunnel->flow[end].frames != NULL) frames_pass(tunnel->flow[end].frames, bytes, length);
  return tunnel_hold(&tunnel->flow[end], bytes, length);
}

struct pump *pump_at(napi_env env, struct addon *addon, napi_value value) {
  uint32_t thread = 0;
  napi_get_value_uint32(env, value, &thread);
  if (addon->queue == NULL || thread >= MAX_PUMPS) {
    napi_throw_range_error(env, NULL, "no listener, or no such thread");
    return NULL;
  }
  if (addon->pumps[thread] == NULL) addon->pumps[thread] = pump_start(pump_on_told, addon);
  if (addon->pumps[thread] == NULL) throw_error(env, "cannot start a thread", errno);
  return addon->pumps[thread];
}

bool read_frames(napi_env env, struct tunnel *tunnel, napi_value value) {
  void *states = NULL;
  size_t length = 0;
  bool is_buffer = false;
  napi_is_buffer(env, value, &is_buffer);
  if (!is_buffer || napi_get_buffer_info(env, value, &states, &length) != napi_ok || length != FRAMES_SIZE) return true;
  return tunnel_follow(tunnel, states);
}

napi_value start(napi_env env, struct addon *addon, struct tunnel *tunnel, struct pump *pump, unsigned command) {
  tunnel->pump = pump;
  if (addon->open == 1) napi_ref_threadsafe_function(env, addon->queue);
  pump_command(pump, tunnel, command, true);
  return number(env, tunnel->slot);
}

int read_keep_alive(napi_env env, napi_value value) {
  int32_t seconds = 0;
  return napi_get_value_int32(env, value, &seconds) == napi_ok && seconds > 0 ? seconds : 0;
}

/*
 * adopt(clientFd, backendFd, fromClient, fromBackend, keepAlive, thread, frames): starts a tunnel between copies of the
 * descriptors.
 */
static napi_value addon_adopt(napi_env env, napi_callback_info info) {
  struct addon *addon = addon_of(env);
  napi_value values[7];
  if (!read_arguments_with(env, info, 6, 7, values)) return NULL;
  struct pump *pump = pump_at(env, addon, values[5]);
  if (pump == NULL) return NULL;
  int client = duplicate(env, values[0]);
  int backend = client < 0 ? -1 : duplicate(env, values[1]);
  if (backend < 0) {
    int error = errno;
    if (client >= 0) close(client);
    return throw_error(env, "cannot duplicate a socket", error);
  }
  struct tunnel *tunnel = tunnel_new(client, backend, read_keep_alive(env, values[4]));
  if (tunnel == NULL) {
    close(client);
    close(backend);
    return throw_error(env, "cannot adopt a tunnel", ENOMEM);
  }
  bool held = read_frames(env, tunnel, values[6]) && hold_buffer(env, tunnel, CLIENT, values[2]) &&
              hold_buffer(env, tunnel, BACKEND, values[3]);
  if (!held || !acquire_slot(addon, tunnel)) {
    tunnel_free(tunnel);
    return throw_error(env, "cannot adopt a tunnel", ENOMEM);
  }
  return start(env, addon, tunnel, pump, COMMAND_ADD);
}

static bool read_address(napi_env env, napi_value host, napi_value port, struct connection *connection) {
  char text[INET6_ADDRSTRLEN + 1] = "";
  uint32_t number = 0;
  struct sockaddr_in *v4 = (struct sockaddr_in *)&connection->address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&connection->address;
  size_t length = 0;
  napi_get_value_string_latin1(env, host, text, sizeof text, &length);
  if (length != strlen(text)) return false;
  if (napi_get_value_uint32(env, port, &number) != napi_ok || number > UINT16_MAX) return false;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)number);
    connection->address_size = sizeof *v4;
    return true;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons((uint16_t)number);
  connection->address_size = sizeof *v6;
  return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

/* connect(address, port, requestHead, keepAlive, thread): starts a tunnel that has no client yet. */
static napi_value addon_connect(napi_env env, napi_callback_info info) {
  struct addon *addon = addon_of(env);
  napi_value values[5];
  size_t size = 0;
  if (!read_arguments(env, info, 5, values)) return NULL;
  struct pump *pump = pump_at(env, addon, values[4]);
  if (pump == NULL) return NULL;
  if (napi_get_value_string_latin1(env, values[2], NULL, 0, &size) != napi_ok) {
    napi_throw_type_error(env, NULL, "expected the request head to be a string");
    return NULL;
  }
  struct connection *connection = connection_new(size);
  if (connection == NULL) return throw_error(env, "cannot connect", ENOMEM);
  napi_get_value_string_latin1(env, values[2], connection->request, size + 1, NULL);
  bool is_address = read_address(env, values[0], values[1], connection);
  struct tunnel *tunnel = is_address ? tunnel_new(-1, -1, read_keep_alive(env, values[3])) : NULL;
  if (tunnel == NULL) {
    connection_free(connection);
    return throw_error(env, "cannot connect", EADDRNOTAVAIL);
  }
  tunnel->connection = connection;
  if (!acquire_slot(addon, tunnel)) {
    tunnel_free(tunnel);
    return throw_error(env, "cannot connect", ENOMEM);
  }
  tunnel->connecting = true;
  return start(env, addon, tunnel, pump, COMMAND_CONNECT);
}

/* Returns the tunnel if it has no client yet. NULL if this function threw an error. */
static struct tunnel *connecting_at(napi_env env, napi_value value) {
  struct tunnel *tunnel = tunnel_at(env, value);
  if (tunnel == NULL || tunnel->connecting) return tunnel;
  napi_throw_range_error(env, NULL, "no such connection");
  return NULL;
}

/* connected(slot): whether the backend has accepted the connection. */
static napi_value addon_connected(napi_env env, napi_callback_info info) {
  napi_value slot, result = NULL;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? connecting_at(env, slot) : NULL;
  if (tunnel == NULL) return NULL;
  napi_get_boolean(env, atomic_load_explicit(&tunnel->connection->connected, memory_order_relaxed), &result);
  return result;
}

/*
 * Joins the head for the client and what follows the backend's head, which is `rest` bytes. NULL without memory, or if the
 * head is not a string.
 */
static char *join_head(napi_env env, napi_value head, const char *rest, size_t rest_size, size_t *size) {
  size_t head_size = 0;
  if (napi_get_value_string_latin1(env, head, NULL, 0, &head_size) != napi_ok) return NULL;
  /* The string gets a terminating zero, which the rest then replaces. */
  char *bytes = malloc(head_size + rest_size + 1);
  if (bytes == NULL) return NULL;
  napi_get_value_string_latin1(env, head, bytes, head_size + 1, &head_size);
  if (rest_size > 0) memcpy(bytes + head_size, rest, rest_size);
  *size = head_size + rest_size;
  return bytes;
}

/*
 * attachClient(slot, clientFd, fromClient, headSize, head, frames): the client gets the head, and what follows the backend's head in
 * the response, and the tunnel runs. The thread is not woken if it has nothing to do before an end sends something.
 */
static napi_value addon_attach_client(napi_env env, napi_callback_info info) {
  napi_value values[6];
  struct tunnel *tunnel = read_arguments_with(env, info, 5, 6, values) ? connecting_at(env, values[0]) : NULL;
  if (tunnel == NULL) return NULL;
  struct connection *connection = tunnel->connection;
  uint32_t head_size = 0;
  napi_get_value_uint32(env, values[3], &head_size);
  if (!tunnel->responded || head_size > connection->response_size) {
    napi_throw_range_error(env, NULL, "no such response");
    return NULL;
  }
  size_t rest = connection->response_size - head_size, size = 0;
  int client = duplicate(env, values[1]);
  if (client < 0) return throw_error(env, "cannot duplicate a socket", errno);
  struct flow *flow = &tunnel->flow[BACKEND];
  char *bytes = join_head(env, values[4], connection->response + head_size, rest, &size);
  tunnel->end[CLIENT].fd = client;
  bool follows = tunnel->flow[CLIENT].frames != NULL || read_frames(env, tunnel, values[5]);
  if (!follows || bytes == NULL || !hold_buffer(env, tunnel, CLIENT, values[2]) || !pump_watch(tunnel->pump, &tunnel->end[CLIENT])) {
    int error = bytes == NULL || !follows ? ENOMEM : errno;
    free(bytes);
    tunnel->end[CLIENT].fd = -1;
    close(client);
    return throw_error(env, "cannot attach the client", error);
  }
  if (flow->frames != NULL) frames_pass(flow->frames, connection->response + head_size, rest);
  ssize_t sent = size > 0 ? send(client, bytes, size, MSG_NOSIGNAL) : 0;
  bool is_quiet = (sent < 0 ? 0 : (size_t)sent) == size && tunnel->flow[CLIENT].held == NULL;
  if (sent == (ssize_t)size) free(bytes);
  else {
    /* The thread finds the error again, or waits for room. */
    flow->held = bytes;
    flow->held_from = sent > 0 ? (size_t)sent : 0;
    flow->held_to = size;
  }
  atomic_store_explicit(&flow->bytes, rest, memory_order_relaxed);
  atomic_store_explicit(&tunnel->active_at, clock_ms(), memory_order_relaxed);
  tunnel->connecting = false;
  pump_command(tunnel->pump, tunnel, COMMAND_ATTACH, !is_quiet);
  /* After the command: a thread that is stirred later looks at its commands before it sleeps. */
  if (is_quiet && atomic_load(&tunnel->stirred)) tunnel->pump->unflushed = true;
  return NULL;
}

/* releaseBackend(slot): the backend's descriptor, which the thread no longer uses. */
static napi_value addon_release_backend(napi_env env, napi_callback_info info) {
  napi_value slot, result = NULL;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? connecting_at(env, slot) : NULL;
  if (tunnel == NULL) return NULL;
  if (!tunnel->responded) {
    napi_throw_range_error(env, NULL, "no such response");
    return NULL;
  }
  napi_create_int32(env, connection_release(tunnel), &result);
  tunnel->connecting = false;
  pump_command(tunnel->pump, tunnel, COMMAND_CLOSE, true);
  return result;
}

napi_value command(napi_env env, napi_callback_info info, unsigned what) {
  napi_value slot;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? tunnel_at(env, slot) : NULL;
  if (tunnel != NULL) pump_command(tunnel->pump, tunnel, what, true);
  return NULL;
}

/* flush(): wakes the threads that have commands. */
static napi_value addon_flush(napi_env env, napi_callback_info info) {
  struct addon *addon = addon_of(env);
  (void)info;
  for (int i = 0; i < MAX_PUMPS; i++) {
    if (addon->pumps[i] != NULL) pump_flush(addon->pumps[i]);
  }
  return NULL;
}

/* end(slot, frame) */
static napi_value addon_end(napi_env env, napi_callback_info info) {
  napi_value values[2];
  bool frame = false;
  if (!read_arguments_with(env, info, 1, 2, values)) return NULL;
  napi_get_value_bool(env, values[1], &frame);
  return command(env, info, COMMAND_END | (frame ? COMMAND_FRAME : 0));
}

static napi_value addon_close(napi_env env, napi_callback_info info) { return command(env, info, COMMAND_CLOSE); }

static napi_value addon_look(napi_env env, napi_callback_info info) { return command(env, info, COMMAND_LOOK); }

static napi_value bytes_from(napi_env env, napi_callback_info info, int end) {
  napi_value slot;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? tunnel_at(env, slot) : NULL;
  return tunnel == NULL ? NULL : number(env, bytes_of(tunnel, end));
}

static napi_value addon_bytes_from_client(napi_env env, napi_callback_info info) {
  return bytes_from(env, info, CLIENT);
}

static napi_value addon_bytes_from_backend(napi_env env, napi_callback_info info) {
  return bytes_from(env, info, BACKEND);
}

/* idle(slot): ms without a byte in either direction. */
static napi_value addon_idle(napi_env env, napi_callback_info info) {
  napi_value slot;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? tunnel_at(env, slot) : NULL;
  if (tunnel == NULL) return NULL;
  uint64_t now = clock_ms(), active_at = atomic_load_explicit(&tunnel->active_at, memory_order_relaxed);
  return number(env, now > active_at ? (double)(now - active_at) : 0);
}

/*
 * notify(path, message): sends a datagram to a unix socket, as sd_notify does. A path that begins with @ is in the
 * abstract namespace. It does not wait: a service manager that does not read loses the message.
 */
static napi_value addon_notify(napi_env env, napi_callback_info info) {
  napi_value values[2];
  if (!read_arguments(env, info, 2, values)) return NULL;
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  char message[512];
  size_t path_size = 0, message_size = 0;
  if (napi_get_value_string_utf8(env, values[0], NULL, 0, &path_size) != napi_ok ||
      napi_get_value_string_utf8(env, values[1], message, sizeof message, &message_size) != napi_ok) {
    napi_throw_type_error(env, NULL, "expected a path and a message");
    return NULL;
  }
  if (path_size == 0 || path_size >= sizeof address.sun_path) return throw_error(env, "notify", ENAMETOOLONG);
  napi_get_value_string_utf8(env, values[0], address.sun_path, sizeof address.sun_path, &path_size);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd == -1) return throw_error(env, "notify", errno);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_size);
  ssize_t sent = sendto(fd, message, message_size, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&address, size);
  int error = sent == -1 ? errno : 0;
  close(fd);
  return error == 0 ? NULL : throw_error(env, "notify", error);
}

NAPI_MODULE_INIT() {
  struct addon *addon = calloc(1, sizeof *addon);
  if (addon == NULL) return throw_error(env, "cannot load", ENOMEM);
  addon->first_free = NO_SLOT;
  napi_set_instance_data(env, addon, free_addon, NULL);
  static const struct {
    const char *name;
    napi_callback function;
  } table[] = {
    { "listen", addon_listen },
    { "adopt", addon_adopt },
    { "connect", addon_connect },
    { "connected", addon_connected },
    { "attachClient", addon_attach_client },
    { "releaseBackend", addon_release_backend },
    { "flush", addon_flush },
    { "end", addon_end },
    { "close", addon_close },
    { "look", addon_look },
    { "bytesFromClient", addon_bytes_from_client },
    { "bytesFromBackend", addon_bytes_from_backend },
    { "idle", addon_idle },
    { "notify", addon_notify },
    { "detach", addon_detach },
    { "detached", addon_detached },
    { "adoptDetached", addon_adopt_detached },
    { "resume", addon_resume },
    { "sendDescriptors", addon_send_descriptors },
    { "receiveDescriptors", addon_receive_descriptors },
    { "peerUser", addon_peer_user },
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    napi_value function;
    napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].function, NULL, &function);
    napi_set_named_property(env, exports, table[i].name, function);
  }
  return exports;
}
