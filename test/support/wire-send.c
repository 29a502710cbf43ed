// Sends frames as they are: one by each line of hexadecimal digits that comes in, answered by "sent".
// wire-send LINK
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int argc, char **argv) {
  static char line[8192];
  static uint8_t frame[4096];
  if (argc != 2) return 2;
  int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
  struct sockaddr_ll name = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(argv[1])};
  if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) < 0) return perror("wire-send"), 1;
  while (fgets(line, sizeof line, stdin)) {
    size_t length = 0;
    for (const char *at = line; length < sizeof frame && sscanf(at, "%2hhx", &frame[length]) == 1; at += 2) length++;
    if (send(fd, frame, length, 0) != (ssize_t)length) return perror("send"), 1;
    printf("sent\n");
    fflush(stdout);
  }
  return 0;
}
