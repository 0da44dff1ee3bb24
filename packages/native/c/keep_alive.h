#ifndef WS_TUNNEL_KEEP_ALIVE_H
#define WS_TUNNEL_KEEP_ALIVE_H

struct pump;
struct tunnel;

/*
 * TCP keep-alive of both ends, set when a tunnel is about a second old. A tunnel that ends earlier saves eight calls.
 * The functions are for the pump's thread.
 */

/* Adds a tunnel to the list of young ones, if it has keep-alive and is not in the list. */
void keep_alive_add(struct pump *pump, struct tunnel *tunnel);

/* Removes a tunnel from the list, if it is in it. */
void keep_alive_remove(struct pump *pump, struct tunnel *tunnel);

/* Sets keep-alive for the tunnels that are old enough, and removes them from the list. */
void keep_alive_run(struct pump *pump);

#endif
