import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CA, CERTIFICATE, hasBackend, hasFront, KEY, type Tls } from './tls.ts'

// The best configurations that the manuals of these servers describe: without logs, with kept connections to backends.

export function nginx(buffer: string, port: number, backend: number, folder: string, tls: Tls | undefined): string {
  const size =
    buffer === '' ? '' : `proxy_buffer_size ${buffer}; proxy_buffers 8 ${buffer}; proxy_busy_buffers_size ${buffer};`
  const front = hasFront(tls) ? `ssl_certificate ${CERTIFICATE}; ssl_certificate_key ${KEY};` : ''
  const verify = hasBackend(tls)
    ? `proxy_ssl_verify on; proxy_ssl_trusted_certificate ${CA}; proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.2 TLSv1.3;`
    : ''
  return `
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log stderr crit;
events { worker_connections 19000; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  map $http_upgrade $connection_field { default upgrade; '' ''; }
  upstream backend { server 127.0.0.1:${backend}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096${hasFront(tls) ? ' ssl' : ''};
    ${front}
    location / {
      proxy_pass ${hasBackend(tls) ? 'https' : 'http'}://backend;
      ${verify}
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_field;
      proxy_read_timeout 1h;
      ${size}
    }
  }
}
`
}

export function haproxy(port: number, backend: number, folder: string, tls: Tls | undefined): string {
  const pair = join(folder, 'pair.pem')
  writeFileSync(pair, readFileSync(CERTIFICATE, 'utf8') + readFileSync(KEY, 'utf8'))
  return `
global
  maxconn 9000
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend in
  bind 127.0.0.1:${port} backlog 4096${hasFront(tls) ? ` ssl crt ${pair}` : ''}
  default_backend out
backend out
  server backend 127.0.0.1:${backend}${hasBackend(tls) ? ` ssl verify required verifyhost localhost ca-file ${CA}` : ''}
`
}

/**
 * `ws` is mod_proxy_wstunnel with a thread for each of 6,400 tunnels. `http` is the upgrade of mod_proxy_http with
 * Debian's 150 threads.
 */
export function httpd(port: number, backend: number, folder: string, module: 'ws' | 'http'): string {
  const modules = '/usr/lib/apache2/modules'
  const sizes =
    module === 'ws'
      ? 'ServerLimit 32\nStartServers 32\nThreadLimit 200\nThreadsPerChild 200\nMaxRequestWorkers 6400\nMinSpareThreads 6400\nMaxSpareThreads 6400'
      : 'ServerLimit 6\nStartServers 6\nThreadsPerChild 25\nMaxRequestWorkers 150\nMinSpareThreads 150\nMaxSpareThreads 150'
  const pass =
    module === 'ws'
      ? `ProxyWebsocketFallbackToProxyHttp Off\nProxyPass / ws://127.0.0.1:${backend}/`
      : `ProxyPass / http://127.0.0.1:${backend}/ upgrade=websocket`
  return `
ServerRoot "${folder}"
PidFile "${folder}/pid"
DefaultRuntimeDir "${folder}"
ErrorLog "${folder}/error.log"
LogLevel crit
ServerName bench.test
Listen 127.0.0.1:${port}
ListenBacklog 4096
MaxKeepAliveRequests 0
Timeout 3600
LoadModule mpm_event_module ${modules}/mod_mpm_event.so
LoadModule authz_core_module ${modules}/mod_authz_core.so
LoadModule proxy_module ${modules}/mod_proxy.so
LoadModule proxy_http_module ${modules}/mod_proxy_http.so
LoadModule proxy_wstunnel_module ${modules}/mod_proxy_wstunnel.so
${sizes}
${pass}
`
}
