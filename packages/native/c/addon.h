#ifndef WS_TUNNEL_ADDON_H
#define WS_TUNNEL_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "pump.h"
#include "tunnel.h"

#define MAX_PUMPS 64

struct slot;

/* The addon of one JavaScript thread. */
struct addon {
  napi_threadsafe_function queue; /* calls the listener */
  struct pump *pumps[MAX_PUMPS];
  struct slot *slots;
  uint32_t size;
  uint32_t first_free;
  uint32_t open; /* slots that hold a tunnel */
};

/* What the files with the addon's functions share. All of it is for the JavaScript thread. */

/* Throws an error with the text of an errno. @returns NULL. */
napi_value throw_error(napi_env env, const char *what, int error);

struct addon *addon_of(napi_env env);

/* @returns whether there are as many arguments as wanted. If not, it has thrown a TypeError. */
bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *values);

/* The same with optional arguments behind the wanted ones, `all` of them together. Those that are missing are undefined. */
bool read_arguments_with(napi_env env, napi_callback_info info, size_t wanted, size_t all, napi_value *values);

/* @returns the tunnel of a slot; NULL if this function threw a RangeError. */
struct tunnel *tunnel_at(napi_env env, napi_value value);

napi_value number(napi_env env, double value);

/* @returns whether there was memory. */
bool acquire_slot(struct addon *addon, struct tunnel *tunnel);

/* @returns the pump with this number, which is started if it does not run; NULL if this function threw an error. */
struct pump *pump_at(napi_env env, struct addon *addon, napi_value value);

/* @returns s until a keep-alive probe, as JavaScript has given it; 0 if that is no number, or a negative one. */
int read_keep_alive(napi_env env, napi_value value);

/* @returns bytes received from an end. */
double bytes_of(struct tunnel *tunnel, int end);

/* Adds the buffer's bytes to the flow of the end that sent them, before any read. @returns whether there was memory. */
bool hold_buffer(napi_env env, struct tunnel *tunnel, int end, napi_value buffer);

/* Follows the frames of a tunnel if the value is a buffer with the states. @returns whether there was memory. */
bool read_frames(napi_env env, struct tunnel *tunnel, napi_value value);

/* Gives the tunnel to the thread, by its first command. The tunnel already has its slot. @returns the slot. */
napi_value start(napi_env env, struct addon *addon, struct tunnel *tunnel, struct pump *pump, unsigned command);

/* Gives the tunnel in the first argument a command. */
napi_value command(napi_env env, napi_callback_info info, unsigned what);

#endif
