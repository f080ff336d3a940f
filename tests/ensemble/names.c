// Names that a test decides about: preloaded, it answers for every host that ends in ".test" from the file that
// ENSEMBLE_HOSTS names, anew at every call. Lines are `name address`; a name without a line does not resolve.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found) {
    resolver *next = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = host ? strlen(host) : 0;
    if (length < 5 || strcmp(host + length - 5, ".test") != 0) return next(host, port, hints, found);
    FILE *hosts = fopen(getenv("ENSEMBLE_HOSTS"), "r");
    char name[256], address[256];
    int result = EAI_NONAME;
    while (hosts && result == EAI_NONAME && fscanf(hosts, "%255s %255s", name, address) == 2)
        if (strcmp(name, host) == 0) result = next(address, port, hints, found);
    if (hosts) fclose(hosts);
    return result;
}
