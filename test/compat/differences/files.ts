// Archives in and out, export, commit.
import { answers, type Listed } from './listed.ts';

export const FILES: readonly Listed[] = [
  {
    request: /: (GET|PUT) \/containers\/files\/archive\?path=\/tmp\/in\.txt\/(deeper)?$/,
    lines: answers(500, 404),
    because: 'newer engines',
    reason: 'a path through a file is not there: 404, as in the published contract',
  },
  {
    request: /: (GET|PUT) \/containers\/files\/archive(\?path=)?$/,
    lines: /^[-+] message bad parameter: '?path'? ?cannot be empty$/,
    reason: 'the words of newer engines',
  },
  {
    request: /: PUT \/containers\/files\/archive\?path=(\/tmp\/in\.txt|\/tmp "this is no archive"|\/&noOverwrite\S+)$/,
    lines: answers(500, 400),
    reason: '400, as in the published contract',
  },
  {
    request: /: PUT \/containers\/files\/archive\?path=\/tmp$/,
    lines: answers(500, 400),
    reason: 'an archive that ends too early: 400, as in the published contract',
  },
  {
    request: /: PUT \/containers\/closed\/archive\?path=\/tmp$/,
    lines: answers(500, 403),
    reason: '403 for a read-only root, as in the published contract',
  },
  {
    request: /: GET \/containers\/out\/export$/,
    lines:
      /^(- entry dev\/(console file 755|pts\/ directory 755|shm\/ directory 755) |[-+] entry etc\/(hostname|hosts|resolv\.conf) file (755|644) )/,
    reason: 'mount points are made outside the container’s own layer; files for the network are files',
  },
  {
    request: /: POST \/commit\?container=base&(repo=Bad:Name|repo=x&tag=bad%20tag) \{\}$/,
    lines: answers(500, 400),
    because: 'newer engines',
    reason: 'a name that is none answers 400 in their words',
  },
  {
    request: /: POST \/images\/create\?fromSrc=-&repo=x&tag=broken "no archive"$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'what is no archive answers 400',
  },
];
