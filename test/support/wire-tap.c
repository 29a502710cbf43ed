// Looks at every frame of a link: how many there are, and whether a pattern is in one. With `again` each sealed datagram
// that leaves by the link is sent once more; with `spoil` a copy with one bit changed is sent.
// wire-tap LINK PATTERN-HEX UDP-PORT listen|again|spoil; answers one line of JSON when its input ends.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static uint8_t frame[70000], pattern[256];
  size_t length = 0;
  unsigned long frames = 0, sealed = 0, matches = 0, vxlan = 0;
  if (argc != 5) return 2;
  for (const char *at = argv[2]; at[0] && at[1]; at += 2, length++) sscanf(at, "%2hhx", &pattern[length]);
  int port = atoi(argv[3]), buffer = 64 << 20;
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(argv[1])};
  if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0) return perror("wire-tap"), 1;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    struct pollfd fds[] = {{fd, POLLIN, 0}, {0, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) return 1;
    if (fds[0].revents) {
      struct sockaddr_ll from;
      socklen_t size = sizeof from;
      ssize_t got = recvfrom(fd, frame, sizeof frame, MSG_DONTWAIT, (struct sockaddr *)&from, &size);
      if (got <= 0) continue;
      frames++;
      if (memmem(frame, (size_t)got, pattern, length)) matches++;
      int is_udp = got > 42 && frame[12] == 8 && frame[13] == 0 && frame[23] == 17;
      int to = is_udp ? frame[36] << 8 | frame[37] : 0;
      // Networks of containers have numbers above 4096; by that one nodes ask each other whether they are there.
      if (to == 4789 && got > 50 && (frame[46] << 16 | frame[47] << 8 | frame[48]) > 4096) vxlan++;
      if (to != port) continue;
      sealed++;
      if (from.sll_pkttype != PACKET_OUTGOING || frame[42] != 2) continue;
      if (strcmp(argv[4], "listen") == 0) continue;
      frame[40] = frame[41] = 0; // between links of one machine the checksum is not there yet
      if (strcmp(argv[4], "spoil") == 0) frame[got - 20] ^= 1, frame[60] ^= 1; // with a counter that was not used
      if (send(fd, frame, (size_t)got, 0) < 0) return perror("send"), 1;
    } else if (fds[1].revents) {
      printf("{\"frames\":%lu,\"sealed\":%lu,\"clear\":%lu,\"matches\":%lu}\n", frames, sealed, vxlan, matches);
      return 0;
    }
  }
}
