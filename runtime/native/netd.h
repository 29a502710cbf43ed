// netd: the node's network helper. One per daemon, spoken to over a socket pair on descriptors 0 and 1.
// It knows how to enter network namespaces, speak netlink, write sysctls and hold ports; what to say comes from the
// daemon (runtime/network), so that every message is made and tested in one place.
#ifndef SHOAL_NETD_H
#define SHOAL_NETD_H

#include <stddef.h>
#include <stdint.h>

#define NETD_PROTOCOL 2
#define NETD_FRAME_MAX (16u << 20)
#define NETD_TEXT_MAX 256

// A growing byte string. Running out of memory ends the process: the daemon starts a new one and repairs.
struct netd_bytes {
  uint8_t *data;
  size_t length;
  size_t capacity;
};

void netd_bytes_add(struct netd_bytes *bytes, const void *data, size_t length);
void netd_bytes_u16(struct netd_bytes *bytes, uint16_t value);
void netd_bytes_u32(struct netd_bytes *bytes, uint32_t value);
uint8_t *netd_bytes_reserve(struct netd_bytes *bytes, size_t length);

// Reads a request body; `bad` is set once anything was missing.
struct netd_reader {
  const uint8_t *at;
  const uint8_t *end;
  int bad;
};

uint8_t netd_read_u8(struct netd_reader *reader);
uint16_t netd_read_u16(struct netd_reader *reader);
uint32_t netd_read_u32(struct netd_reader *reader);
// A u16 length and that many bytes, copied with an ending NUL. A text with a NUL inside or too long is bad.
void netd_read_text(struct netd_reader *reader, char *text, size_t size);


// An IPv4 or IPv6 address, in network order; an IPv4 one is in the first four bytes, the others are zero.
struct netd_address {
  uint8_t bytes[16];
  uint8_t length; // 4 or 16
};
void netd_read_address(struct netd_reader *reader, struct netd_address *address);

// Every step answers 0 or an errno, and adds its result, or on failure a sentence, to `out`.
int netd_fault(struct netd_bytes *out, int error, const char *what);

// Namespaces. `path` is a namespace file; "" is the one netd was started in.
int netd_home_open(void);
int netd_home_fd(void);
int netd_enter(const char *path);
void netd_come_home(void);
int netd_namespace_create(struct netd_reader *in, struct netd_bytes *out);
int netd_namespace_remove(struct netd_reader *in, struct netd_bytes *out);
// Keeps a namespace open, so that link messages can name it by descriptor.
int netd_namespace_hold(struct netd_reader *in, struct netd_bytes *out);
int netd_namespace_drop(struct netd_reader *in, struct netd_bytes *out);
int netd_sysctl_read(struct netd_reader *in, struct netd_bytes *out);
int netd_sysctl_write(struct netd_reader *in, struct netd_bytes *out);
// How many IP packets a namespace has received and sent since it was made, as text.
int netd_packets(struct netd_reader *in, struct netd_bytes *out);

// Netlink.
int netd_netlink_open(int protocol);
int netd_netlink(struct netd_reader *in, struct netd_bytes *out);
// A socket in a namespace, and what to do with it afterwards. `broken`: an answer may still be under way.
int netd_socket_in(const char *where, int protocol);
void netd_socket_done(const char *where, int protocol, int fd, int broken);
void netd_sockets_forget(const char *where);
int netd_watch_open(void);
// Reads pending notices of `fd` and adds one event for each new nf_tables generation.
int netd_watch_read(int fd, void (*event)(uint32_t generation, uint32_t pid));

struct netd_link_event {
  uint32_t type; // RTM_NEWLINK, RTM_DELLINK, RTM_DELADDR; 0: notices were lost
  uint32_t index;
  uint32_t flags;
  uint32_t master;
  char name[16];
};
int netd_links_open(void);
int netd_links_read(int fd, void (*tell)(const struct netd_link_event *));

// Deletes the tracked connections that match any of the filters.
int netd_conntrack_delete(struct netd_reader *in, struct netd_bytes *out);

// Host ports held so that nobody else on the machine can bind them.
int netd_port_reserve(struct netd_reader *in, struct netd_bytes *out);
int netd_port_release(struct netd_reader *in, struct netd_bytes *out);

// Asks nodes whether they hear us; who answered is told when `netd_probe_fd` (-1 before the first) can be read.
int netd_probe(struct netd_reader *in, struct netd_bytes *out);
int netd_probe_fd(void);
typedef void netd_answered(const uint8_t *address, size_t length);
void netd_probe_read(netd_answered *answered);
// The same by IPv6.
int netd_probe6_fd(void);
void netd_probe6_read(netd_answered *answered);

// Steps that the kernel may take long over are done one after another by a second process, so that no other work waits.
typedef int netd_step(struct netd_reader *in, struct netd_bytes *out);
typedef void netd_answer(uint32_t id, uint32_t error, const uint8_t *data, size_t length);
netd_step *netd_step_of(uint16_t operation);
int netd_aside_start(void); // answers the descriptor to wait on; before anything else is opened
void netd_aside_send(uint32_t id, uint16_t operation, const uint8_t *body, size_t length, netd_answer *answer);
void netd_aside_receive(netd_answer *answer); // passes on what is there

int netd_main(int argc, char **argv);
int netd_names_main(void);

#endif
