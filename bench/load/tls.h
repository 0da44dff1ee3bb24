#ifndef TLS_H
#define TLS_H

#include <stddef.h>
#include <sys/types.h>

/* One end of a TLS connection over a non-blocking socket. */
struct tls;

/* Prepares both kinds of ends. The certificate is the one of the servers; clients verify none. */
void tls_begin(const char *certificate, const char *key);
struct tls *tls_client(int fd);
struct tls *tls_server(int fd);

/* Returns 1 when it is complete, 0 when the socket has to be readable first, -1 after a failure. */
int tls_handshake(struct tls *t);

/* As send and recv, errno included. `*more` tells whether bytes may wait that the socket does not show. */
ssize_t tls_send(struct tls *t, const void *data, size_t n);
ssize_t tls_recv(struct tls *t, void *data, size_t n, int *more);

/* Sends close_notify. The socket stays open. */
void tls_end(struct tls *t);

#endif
