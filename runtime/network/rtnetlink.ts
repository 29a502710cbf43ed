// Numbers of rtnetlink that more than one kind of message is made with.
// Source: Linux include/uapi/linux/{rtnetlink,if_link,neighbour}.h and include/linux/socket.h.

// Messages.
export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;
export const RTM_NEWNSID = 88;
export const RTM_GETNSID = 90;

// Families.
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

// Attributes of links.
export const IFLA_ADDRESS = 1;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_INFO_SLAVE_KIND = 4;
export const IFLA_BRPORT_MODE = 4;
export const IFLA_LINK = 5;
export const IFLA_INFO_SLAVE_DATA = 5;
export const IFLA_MASTER = 10;
export const IFLA_LINKINFO = 18;
export const IFLA_GROUP = 27;
export const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;
export const IFLA_LINK_NETNSID = 37;
export const IFLA_BRPORT_ISOLATED = 33;

// Attributes of neighbours and of who is behind which port of a switch.
export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NDA_PORT = 6;

/** A neighbour that does not age, and an entry of the link's own table instead of its switch's. */
export const PERMANENT = 0x80;
export const SELF = 0x02;

/** What makes a VXLAN link. */
export const VXLAN = { id: 1, learning: 7, ageing: 8, limit: 9, proxy: 11, port: 15, udpChecksum: 18 } as const;
