/* SPDX-License-Identifier: Apache-2.0 */
/* The multicast sockets: one a family, shared with every other responder of the host. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resolver.h"

#define MDNS_PORT 5353

static int bound(int family)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(MDNS_PORT) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(MDNS_PORT) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, hops = 255;
	uint8_t hops4 = 255;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET) {
		setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops4, sizeof(hops4));
	} else {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops));
	}
	if (bind(fd, family == AF_INET ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6,
		 family == AF_INET ? sizeof(in4) : sizeof(in6)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int join(struct resolver *r, int family, unsigned index)
{
	struct ip_mreqn four = { .imr_ifindex = (int)index };
	struct ipv6_mreq six = { .ipv6mr_interface = index };

	inet_pton(AF_INET, "224.0.0.251", &four.imr_multiaddr);
	inet_pton(AF_INET6, "ff02::fb", &six.ipv6mr_multiaddr);
	if (family == AF_INET)
		return r->v4 < 0 ? -1 : setsockopt(r->v4, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof(four));
	return r->v6 < 0 ? -1 : setsockopt(r->v6, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof(six));
}

static int known(const struct resolver *r, int family, unsigned index)
{
	size_t i;

	for (i = 0; i < r->nports; i++)
		if (r->ports[i].family == family && r->ports[i].index == index)
			return 1;
	return 0;
}

int resolver_sockets(struct resolver *r, char *why, size_t nwhy)
{
	struct ifaddrs *all = NULL, *i;
	unsigned index;
	int family;

	r->v4 = bound(AF_INET);
	r->v6 = bound(AF_INET6);
	if (r->v4 < 0 && r->v6 < 0) {
		snprintf(why, nwhy, "UDP port %d cannot be bound: %s", MDNS_PORT, strerror(errno));
		return -1;
	}
	if (getifaddrs(&all) < 0) {
		snprintf(why, nwhy, "the interfaces cannot be listed: %s", strerror(errno));
		return -1;
	}
	for (i = all; i != NULL && r->nports < INTERFACES_MOST; i = i->ifa_next) {
		family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
		if ((family != AF_INET && family != AF_INET6) || !(i->ifa_flags & IFF_UP) ||
		    !(i->ifa_flags & IFF_MULTICAST))
			continue;
		index = if_nametoindex(i->ifa_name);
		if (index == 0 || known(r, family, index) || join(r, family, index) < 0)
			continue;
		r->ports[r->nports].family = family;
		r->ports[r->nports].index = index;
		if (family == AF_INET)
			r->ports[r->nports].v4 = ((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr;
		r->nports++;
	}
	freeifaddrs(all);
	if (r->nports > 0)
		return 0;
	snprintf(why, nwhy,
		 "no interface has multicast: configure spec.nameResolution with another component, such as sqlite");
	return -1;
}

void resolver_send(struct resolver *r, const struct packet *p)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(MDNS_PORT) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(MDNS_PORT) };
	size_t i;

	if (p->full)
		return;
	inet_pton(AF_INET, "224.0.0.251", &to4.sin_addr);
	inet_pton(AF_INET6, "ff02::fb", &to6.sin6_addr);
	for (i = 0; i < r->nports; i++) { /* what is lost is asked, or said, again */
		const struct port *port = &r->ports[i];
		struct ip_mreqn from = { .imr_ifindex = (int)port->index };

		if (port->family == AF_INET) {
			setsockopt(r->v4, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from));
			(void)!sendto(r->v4, p->bytes, p->n, 0, (struct sockaddr *)&to4, sizeof(to4));
		} else {
			to6.sin6_scope_id = port->index;
			setsockopt(r->v6, IPPROTO_IPV6, IPV6_MULTICAST_IF, &port->index, sizeof(port->index));
			(void)!sendto(r->v6, p->bytes, p->n, 0, (struct sockaddr *)&to6, sizeof(to6));
		}
	}
}
