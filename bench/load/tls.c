#include "tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef WITH_TLS

#include <openssl/err.h>
#include <openssl/ssl.h>

#define READ_AHEAD 65536

static SSL_CTX *clients, *servers;

static SSL_CTX *context(const SSL_METHOD *method) {
  SSL_CTX *ctx = SSL_CTX_new(method);
  if (ctx == NULL) exit(3);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
  return ctx;
}

void tls_begin(const char *certificate, const char *key) {
  clients = context(TLS_client_method());
  servers = context(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(servers, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(servers, key, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    exit(3);
  }
}

static SSL *end_of(SSL_CTX *ctx, int fd) {
  SSL *ssl = SSL_new(ctx);
  if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) exit(3);
  return ssl;
}

struct tls *tls_client(int fd) {
  SSL *ssl = end_of(clients, fd);
  SSL_set_connect_state(ssl);
  return (struct tls *)ssl;
}

struct tls *tls_server(int fd) {
  SSL *ssl = end_of(servers, fd);
  SSL_set_accept_state(ssl);
  return (struct tls *)ssl;
}

int tls_handshake(struct tls *t) {
  ERR_clear_error();
  int result = SSL_do_handshake((SSL *)t);
  if (result == 1) return 1;
  return SSL_get_error((SSL *)t, result) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* The result of a call that has moved no byte. */
static ssize_t none(SSL *ssl, int result) {
  int error = SSL_get_error(ssl, result);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
  return -1;
}

ssize_t tls_send(struct tls *t, const void *data, size_t n) {
  size_t done = 0;
  while (done < n) {
    ERR_clear_error();
    int result = SSL_write((SSL *)t, (const char *)data + done, (int)(n - done));
    if (result > 0) done += (size_t)result;
    else return done > 0 ? (ssize_t)done : none((SSL *)t, result);
  }
  return (ssize_t)done;
}

ssize_t tls_recv(struct tls *t, void *data, size_t n, int *more) {
  size_t done = 0;
  *more = 0;
  while (done < n) {
    ERR_clear_error();
    int result = SSL_read((SSL *)t, (char *)data + done, (int)(n - done));
    if (result > 0) done += (size_t)result;
    else return done > 0 ? (ssize_t)done : none((SSL *)t, result);
  }
  *more = 1;
  return (ssize_t)done;
}

void tls_end(struct tls *t) {
  ERR_clear_error();
  if (SSL_is_init_finished((SSL *)t)) SSL_shutdown((SSL *)t);
  SSL_free((SSL *)t);
}

#else

static void missing(void) {
  fputs("This load generator was compiled without OpenSSL\n", stderr);
  exit(3);
}

void tls_begin(const char *certificate, const char *key) { (void)certificate, (void)key, missing(); }
struct tls *tls_client(int fd) { return (void)fd, missing(), NULL; }
struct tls *tls_server(int fd) { return (void)fd, missing(), NULL; }
int tls_handshake(struct tls *t) { return (void)t, -1; }
ssize_t tls_send(struct tls *t, const void *data, size_t n) { return (void)t, (void)data, (void)n, -1; }
ssize_t tls_recv(struct tls *t, void *data, size_t n, int *more) { return (void)t, (void)data, (void)n, (void)more, -1; }
void tls_end(struct tls *t) { (void)t; }

#endif
