// The tunnel's end in the machine: a TUN link in a namespace of its own, where VXLAN links send to addresses of 10/8 that
// stand for other nodes. Nothing else is in there, so the addresses clash with nobody's.
#include "tunnel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OWN = 0x0a000001, MASK = 0xff000000, MTU = 65000, QUEUE_LENGTH = 4000, SEND_BUFFER = 8 << 20 };
enum { VXLAN_PORT = 4789, VXLAN_HEADER = 8, UDP = 17 };

static void put_address(struct sockaddr *at, uint32_t address) {
  struct sockaddr_in value = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
  memcpy(at, &value, sizeof value);
}

static int set_up(int control, const char *name) {
  struct ifreq link = {0};
  snprintf(link.ifr_name, sizeof link.ifr_name, "%s", name);
  put_address(&link.ifr_addr, OWN);
  if (ioctl(control, SIOCSIFADDR, &link) < 0) return -1;
  put_address(&link.ifr_netmask, MASK);
  if (ioctl(control, SIOCSIFNETMASK, &link) < 0) return -1;
  link.ifr_mtu = MTU;
  if (ioctl(control, SIOCSIFMTU, &link) < 0) return -1;
  link.ifr_qlen = QUEUE_LENGTH;
  if (ioctl(control, SIOCSIFTXQLEN, &link) < 0) return -1;
  link.ifr_flags = IFF_UP;
  return ioctl(control, SIOCSIFFLAGS, &link);
}

static int set_up_loopback(int control) {
  struct ifreq link = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  return ioctl(control, SIOCSIFFLAGS, &link);
}

static int open_inward(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = SEND_BUFFER;
  if (fd < 0) return -1;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  return fd;
}

int tunnel_link_open(const char *namespace_path, int *inward, struct sockaddr_in *vxlan) {
  int namespace = open(namespace_path, O_RDONLY | O_CLOEXEC);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) return -1;
  close(namespace);
  struct ifreq link = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  snprintf(link.ifr_name, sizeof link.ifr_name, "tun0");
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &link) < 0) return -1;
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (control < 0 || set_up(control, link.ifr_name) < 0 || set_up_loopback(control) < 0) return -1;
  close(control);
  *inward = open_inward();
  *vxlan = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(VXLAN_PORT), .sin_addr.s_addr = htonl(OWN)};
  return *inward < 0 ? -1 : fd;
}

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

uint32_t tunnel_vni_of(const uint8_t *frame) {
  return (uint32_t)frame[4] << 16 | (uint32_t)frame[5] << 8 | frame[6];
}

size_t tunnel_link_read(uint8_t *packet, size_t length, uint32_t *inner, uint32_t *vni, uint8_t **frame) {
  size_t header = length < 20 ? 0 : (size_t)(packet[0] & 15) * 4;
  if (header < 20 || packet[0] >> 4 != 4 || packet[9] != UDP || length < header + 8 + VXLAN_HEADER) return 0;
  if (get16(packet + 6) & 0x3fff) return 0; // a piece of one
  if (get16(packet + header + 2) != VXLAN_PORT) return 0;
  memcpy(inner, packet + 16, 4);
  *inner = ntohl(*inner);
  *frame = packet + header + 8;
  *vni = tunnel_vni_of(*frame);
  return length - header - 8;
}
