/*
 * The door between JavaScript and the pumps, in N-API. What one has to know of it: `napi_env` is one JavaScript thread (the
 * process's, or a worker's), `napi_value` a JavaScript value that lives until the call returns, and every call gives a status.
 * A thread-safe function is a queue by which another thread has a call made on the JavaScript thread; while it is referenced the
 * process does not exit, as with an open socket.
 *
 * Everything here runs on the JavaScript thread but `tell`. Each environment has a door of its own.
 */
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection.h"
#include "pump.h"
#include "tunnel.h"

#define MAX_PUMPS 64
#define NO_SLOT UINT32_MAX

/* A tunnel is known to JavaScript by its slot; an empty slot names the next empty one. */
struct slot {
  struct tunnel *tunnel;
  uint32_t next_empty;
};

struct door {
  napi_threadsafe_function events;
  struct pump *pumps[MAX_PUMPS];
  struct slot *slots;
  uint32_t size;
  uint32_t empty;
  uint32_t open;
};

static napi_value throw_error(napi_env env, const char *what, int error) {
  char message[128];
  snprintf(message, sizeof message, "%s: %s", what, strerror(error));
  napi_throw_error(env, NULL, message);
  return NULL;
}

static struct door *door_of(napi_env env) {
  struct door *door = NULL;
  napi_get_instance_data(env, (void **)&door);
  return door;
}

static bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values) {
  size_t count = wanted;
  if (napi_get_cb_info(env, info, &count, values, NULL, NULL) == napi_ok && count >= wanted) return true;
  napi_throw_type_error(env, NULL, "too few arguments");
  return false;
}

static struct tunnel *tunnel_at(napi_env env, napi_value value) {
  struct door *door = door_of(env);
  uint32_t slot = NO_SLOT;
  if (napi_get_value_uint32(env, value, &slot) == napi_ok && slot < door->size && door->slots[slot].tunnel != NULL) {
    return door->slots[slot].tunnel;
  }
  napi_throw_range_error(env, NULL, "no such tunnel");
  return NULL;
}

static bool take_slot(struct door *door, struct tunnel *tunnel) {
  if (door->empty == NO_SLOT) {
    uint32_t size = door->size == 0 ? 64 : door->size * 2;
    struct slot *slots = realloc(door->slots, size * sizeof *slots);
    if (slots == NULL) return false;
    for (uint32_t i = door->size; i < size; i++) {
      slots[i].tunnel = NULL;
      slots[i].next_empty = i + 1 < size ? i + 1 : NO_SLOT;
    }
    door->empty = door->size;
    door->slots = slots;
    door->size = size;
  }
  tunnel->slot = door->empty;
  door->empty = door->slots[tunnel->slot].next_empty;
  door->slots[tunnel->slot].tunnel = tunnel;
  door->open++;
  return true;
}

static void give_slot(napi_env env, struct door *door, struct tunnel *tunnel) {
  door->slots[tunnel->slot].tunnel = NULL;
  door->slots[tunnel->slot].next_empty = door->empty;
  door->empty = tunnel->slot;
  pump_command(tunnel->pump, tunnel, COMMAND_FREE);
  if (--door->open == 0) napi_unref_threadsafe_function(env, door->events);
}

/* On a pump's thread. */
static void tell(void *context, struct tunnel *tunnel) {
  struct door *door = context;
  napi_call_threadsafe_function(door->events, tunnel, napi_tsfn_nonblocking);
}

static napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

static double bytes_of(struct tunnel *tunnel, int end) {
  return (double)atomic_load_explicit(&tunnel->way[end].bytes, memory_order_relaxed);
}

/* Calls listener(slot, told, clientErrno, backendErrno, bytesFromClient, bytesFromBackend, answer). */
static void hear(napi_env env, napi_value listener, void *context, void *data) {
  struct door *door = context;
  struct tunnel *tunnel = data;
  if (env == NULL) return;
  unsigned told = atomic_exchange(&tunnel->told, 0);
  napi_value receiver, answer;
  napi_get_undefined(env, &receiver);
  answer = receiver;
  if (told & TOLD_ANSWER) {
    tunnel->answered = true;
    napi_create_string_latin1(env, tunnel->dial->answer, tunnel->dial->answer_size, &answer);
  }
  napi_value arguments[] = {
    number(env, tunnel->slot),
    number(env, told),
    number(env, told & TOLD_CLIENT_BROKEN ? tunnel->end[CLIENT].error : 0),
    number(env, told & TOLD_BACKEND_BROKEN ? tunnel->end[BACKEND].error : 0),
    number(env, bytes_of(tunnel, CLIENT)),
    number(env, bytes_of(tunnel, BACKEND)),
    answer,
  };
  if (napi_call_function(env, receiver, listener, 7, arguments, NULL) == napi_pending_exception) {
    napi_value error;
    napi_get_and_clear_last_exception(env, &error);
    napi_fatal_exception(env, error);
  }
  if (told & TOLD_CLOSED) give_slot(env, door, tunnel);
}

/* The environment ends, by process.exit() or worker.terminate(): the threads first, then what they worked on. */
static void shut(void *data) {
  struct door *door = data;
  for (int i = 0; i < MAX_PUMPS; i++) {
    if (door->pumps[i] != NULL) pump_stop(door->pumps[i]);
  }
  for (uint32_t i = 0; i < door->size; i++) {
    if (door->slots[i].tunnel != NULL) tunnel_free(door->slots[i].tunnel);
  }
  free(door->slots);
}

static void forget(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

/* listen(listener): who is told of the tunnels; once. */
static napi_value door_listen(napi_env env, napi_callback_info info) {
  struct door *door = door_of(env);
  napi_value listener, name;
  if (!read_arguments(env, info, 1, &listener)) return NULL;
  if (door->events != NULL) {
    napi_throw_error(env, NULL, "there is a listener already");
    return NULL;
  }
  napi_create_string_utf8(env, "ws-tunnel", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, listener, NULL, name, 0, 1, NULL, NULL, door, hear, &door->events) != napi_ok) {
    napi_throw_type_error(env, NULL, "expected a function");
    return NULL;
  }
  napi_unref_threadsafe_function(env, door->events);
  /* Hooks run last in, first out: the threads are joined before the queue they call into is gone. */
  napi_add_env_cleanup_hook(env, shut, door);
  return NULL;
}

/* A descriptor of our own for the same connection: JavaScript closes its. */
static int duplicate(napi_env env, napi_value value) {
  int32_t fd = -1;
  int type;
  socklen_t size = sizeof type;
  if (napi_get_value_int32(env, value, &fd) != napi_ok) fd = -1;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0) return -1;
  return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static bool hold_buffer(napi_env env, struct tunnel *tunnel, int end, napi_value buffer) {
  void *bytes = NULL;
  size_t length = 0;
  if (napi_get_buffer_info(env, buffer, &bytes, &length) != napi_ok || length == 0) return true;
  atomic_store_explicit(&tunnel->way[end].bytes, length, memory_order_relaxed);
  return tunnel_hold(&tunnel->way[end], bytes, length);
}

/* NULL if it threw. */
static struct pump *pump_at(napi_env env, struct door *door, napi_value value) {
  uint32_t thread = 0;
  napi_get_value_uint32(env, value, &thread);
  if (door->events == NULL || thread >= MAX_PUMPS) {
    napi_throw_range_error(env, NULL, "no listener, or no such thread");
    return NULL;
  }
  if (door->pumps[thread] == NULL) door->pumps[thread] = pump_start(tell, door);
  if (door->pumps[thread] == NULL) throw_error(env, "cannot start a thread", errno);
  return door->pumps[thread];
}

/* Gives the tunnel, which has its slot, to the thread. */
static napi_value begin(napi_env env, struct door *door, struct tunnel *tunnel, struct pump *pump, unsigned what) {
  tunnel->pump = pump;
  atomic_store_explicit(&tunnel->active_at, clock_ms(), memory_order_relaxed);
  if (door->open == 1) napi_ref_threadsafe_function(env, door->events);
  pump_command(pump, tunnel, what);
  return number(env, tunnel->slot);
}

/* adopt(clientFd, backendFd, fromClient, fromBackend, thread): the slot of a tunnel between copies of the descriptors. */
static napi_value door_adopt(napi_env env, napi_callback_info info) {
  struct door *door = door_of(env);
  napi_value values[5];
  if (!read_arguments(env, info, 5, values)) return NULL;
  struct pump *pump = pump_at(env, door, values[4]);
  if (pump == NULL) return NULL;
  int client = duplicate(env, values[0]);
  int backend = client < 0 ? -1 : duplicate(env, values[1]);
  if (backend < 0) {
    int error = errno;
    if (client >= 0) close(client);
    return throw_error(env, "cannot duplicate a socket", error);
  }
  struct tunnel *tunnel = tunnel_new(client, backend);
  if (tunnel == NULL) {
    close(client);
    close(backend);
    return throw_error(env, "cannot adopt a tunnel", ENOMEM);
  }
  bool whole = hold_buffer(env, tunnel, CLIENT, values[2]) && hold_buffer(env, tunnel, BACKEND, values[3]);
  if (!whole || !take_slot(door, tunnel)) {
    tunnel_free(tunnel);
    return throw_error(env, "cannot adopt a tunnel", ENOMEM);
  }
  return begin(env, door, tunnel, pump, COMMAND_ADD);
}

static bool read_address(napi_env env, napi_value host, napi_value port, struct dial *dial) {
  char text[INET6_ADDRSTRLEN + 1] = "";
  uint32_t number = 0;
  struct sockaddr_in *v4 = (struct sockaddr_in *)&dial->address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&dial->address;
  size_t length = 0;
  napi_get_value_string_latin1(env, host, text, sizeof text, &length);
  if (napi_get_value_uint32(env, port, &number) != napi_ok || number > UINT16_MAX || length != strlen(text)) return false;
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)number);
    dial->address_size = sizeof *v4;
    return true;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons((uint16_t)number);
  dial->address_size = sizeof *v6;
  return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

/* dial(address, port, question, keepAlive, thread): the slot of a tunnel that has no client yet. */
static napi_value door_dial(napi_env env, napi_callback_info info) {
  struct door *door = door_of(env);
  napi_value values[5];
  size_t size = 0;
  if (!read_arguments(env, info, 5, values)) return NULL;
  struct pump *pump = pump_at(env, door, values[4]);
  if (pump == NULL) return NULL;
  if (napi_get_value_string_latin1(env, values[2], NULL, 0, &size) != napi_ok) {
    napi_throw_type_error(env, NULL, "expected the question to be a string");
    return NULL;
  }
  struct dial *dial = dial_new(size);
  if (dial == NULL) return throw_error(env, "cannot dial", ENOMEM);
  napi_get_value_string_latin1(env, values[2], dial->question, size + 1, NULL);
  napi_get_value_int32(env, values[3], &dial->keep_alive);
  struct tunnel *tunnel = read_address(env, values[0], values[1], dial) ? tunnel_new(-1, -1) : NULL;
  if (tunnel == NULL) {
    dial_free(dial);
    return throw_error(env, "cannot dial", EADDRNOTAVAIL);
  }
  tunnel->dial = dial;
  if (!take_slot(door, tunnel)) {
    tunnel_free(tunnel);
    return throw_error(env, "cannot dial", ENOMEM);
  }
  tunnel->dialled = true;
  return begin(env, door, tunnel, pump, COMMAND_DIAL);
}

static struct tunnel *dialled_at(napi_env env, napi_value value) {
  struct tunnel *tunnel = tunnel_at(env, value);
  if (tunnel == NULL || tunnel->dialled) return tunnel;
  napi_throw_range_error(env, NULL, "no such dial");
  return NULL;
}

/* connected(slot): whether the backend has accepted the connection. */
static napi_value door_connected(napi_env env, napi_callback_info info) {
  napi_value slot, result = NULL;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? dialled_at(env, slot) : NULL;
  if (tunnel == NULL) return NULL;
  napi_get_boolean(env, atomic_load_explicit(&tunnel->dial->connected, memory_order_relaxed), &result);
  return result;
}

/* join(slot, clientFd, fromClient, headSize): the client comes, and what stands behind the head in the answer is for it. */
static napi_value door_join(napi_env env, napi_callback_info info) {
  napi_value values[4];
  struct tunnel *tunnel = read_arguments(env, info, 4, values) ? dialled_at(env, values[0]) : NULL;
  if (tunnel == NULL) return NULL;
  struct dial *dial = tunnel->dial;
  uint32_t head = 0;
  napi_get_value_uint32(env, values[3], &head);
  if (!tunnel->answered || head > dial->answer_size) {
    napi_throw_range_error(env, NULL, "no such answer");
    return NULL;
  }
  size_t rest = dial->answer_size - head;
  int client = duplicate(env, values[1]);
  if (client < 0) return throw_error(env, "cannot duplicate a socket", errno);
  struct way *way = &tunnel->way[BACKEND];
  if (!hold_buffer(env, tunnel, CLIENT, values[2]) || (rest > 0 && !tunnel_hold(way, dial->answer + head, rest))) {
    close(client);
    return throw_error(env, "cannot join", ENOMEM);
  }
  atomic_store_explicit(&way->bytes, rest, memory_order_relaxed);
  tunnel->end[CLIENT].fd = client;
  tunnel->dialled = false;
  pump_command(tunnel->pump, tunnel, COMMAND_JOIN);
  return NULL;
}

/* takeBack(slot): the descriptor of the answered connection, which the thread lets go of. */
static napi_value door_take_back(napi_env env, napi_callback_info info) {
  napi_value slot, result = NULL;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? dialled_at(env, slot) : NULL;
  if (tunnel == NULL) return NULL;
  if (!tunnel->answered) {
    napi_throw_range_error(env, NULL, "no such answer");
    return NULL;
  }
  napi_create_int32(env, dial_take_back(tunnel), &result);
  tunnel->dialled = false;
  pump_command(tunnel->pump, tunnel, COMMAND_CUT);
  return result;
}

static napi_value command(napi_env env, napi_callback_info info, unsigned what) {
  napi_value slot;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? tunnel_at(env, slot) : NULL;
  if (tunnel != NULL) pump_command(tunnel->pump, tunnel, what);
  return NULL;
}

static napi_value door_end(napi_env env, napi_callback_info info) { return command(env, info, COMMAND_END); }

static napi_value door_cut(napi_env env, napi_callback_info info) { return command(env, info, COMMAND_CUT); }

static napi_value bytes_from(napi_env env, napi_callback_info info, int end) {
  napi_value slot;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? tunnel_at(env, slot) : NULL;
  return tunnel == NULL ? NULL : number(env, bytes_of(tunnel, end));
}

static napi_value door_from_client(napi_env env, napi_callback_info info) { return bytes_from(env, info, CLIENT); }

static napi_value door_from_backend(napi_env env, napi_callback_info info) { return bytes_from(env, info, BACKEND); }

/* idle(slot): ms without a byte either way. */
static napi_value door_idle(napi_env env, napi_callback_info info) {
  napi_value slot;
  struct tunnel *tunnel = read_arguments(env, info, 1, &slot) ? tunnel_at(env, slot) : NULL;
  if (tunnel == NULL) return NULL;
  uint64_t now = clock_ms(), active_at = atomic_load_explicit(&tunnel->active_at, memory_order_relaxed);
  return number(env, now > active_at ? (double)(now - active_at) : 0);
}

NAPI_MODULE_INIT() {
  struct door *door = calloc(1, sizeof *door);
  if (door == NULL) return throw_error(env, "cannot load", ENOMEM);
  door->empty = NO_SLOT;
  napi_set_instance_data(env, door, forget, NULL);
  static const struct {
    const char *name;
    napi_callback function;
  } table[] = {
    { "listen", door_listen },
    { "adopt", door_adopt },
    { "dial", door_dial },
    { "connected", door_connected },
    { "join", door_join },
    { "takeBack", door_take_back },
    { "end", door_end },
    { "cut", door_cut },
    { "bytesFromClient", door_from_client },
    { "bytesFromBackend", door_from_backend },
    { "idle", door_idle },
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    napi_value function;
    napi_create_function(env, table[i].name, NAPI_AUTO_LENGTH, table[i].function, NULL, &function);
    napi_set_named_property(env, exports, table[i].name, function);
  }
  return exports;
}
