#ifndef WS_TUNNEL_HANDOVER_H
#define WS_TUNNEL_HANDOVER_H

#include <node_api.h>

/* The addon's functions that hand live tunnels over to another process. src/index.ts describes them. */

napi_value addon_detach(napi_env env, napi_callback_info info);
napi_value addon_detached(napi_env env, napi_callback_info info);
napi_value addon_adopt_detached(napi_env env, napi_callback_info info);
napi_value addon_resume(napi_env env, napi_callback_info info);
napi_value addon_send_descriptors(napi_env env, napi_callback_info info);
napi_value addon_receive_descriptors(napi_env env, napi_callback_info info);
napi_value addon_peer_user(napi_env env, napi_callback_info info);

#endif
