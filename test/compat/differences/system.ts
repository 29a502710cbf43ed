// The daemon itself: version, info, disk use, events.
import { answers, type Listed } from './listed.ts';

export const SYSTEM: readonly Listed[] = [
  {
    request: /: GET \/version$/,
    lines: /^[-+] (\.Components\[\]\.Details)?\.MinAPIVersion = "1\.(12|24)"$/,
    reason: 'the oldest API that is spoken is 1.24',
  },
  {
    request: /: GET \/version$/,
    lines: /^\+ \.Components\[\]\.Details\.NodeVersion string$/,
    reason: 'what the daemon runs on',
  },
  {
    request: /: GET \/info$/,
    lines: /^(\+ \.(ProductLicense string|CDISpecDirs array)|- \.(BridgeNfIp6?tables boolean|ExecutionDriver string))$/,
    reason: 'fields of the newer API, and what left it',
  },
  {
    request: /: GET \/info$/,
    lines:
      /^(- \.Runtimes\.io\.containerd\.(runc\.v2|runtime\.v1\.linux)|\+ \.Runtimes\.(shoal|crun|kata))( object|\.path string)$/,
    reason: 'runtimes by their own names, and those that the machine has',
  },
  {
    request: /: GET \/info$/,
    lines: /^[-+] \.Swarm\.Cluster\.DefaultAddrPool(\[\])? (null|array|string)$/,
    reason: 'the pools that are in use, as in the published contract; only a leader knows them here too',
  },
  {
    request: /: GET \/system\/df(\?type=nope)?$/,
    lines:
      /^[-+] \.(Images\[\]\.(Labels (null|object)|RepoDigests (null|array))|Volumes\[\]\.Labels (null|object)|BuildCache (null|array))$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /events of images.*"event":\["tag"/,
    lines: /^([-+] document \{"Action":"(tag|untag)"|[-+] in order: )/,
    reason: 'import tells of itself alone, and untag names what lost its tag',
  },
  {
    request: /events of .*\{"(volume|network)":\["told"\]\}/,
    lines: /^(- document \{.*"name":"told|- document \{.*"ID":"told"|[-+] in order: )/,
    reason: 'a filter for volumes or networks lets no event of another kind through that has the same name',
  },
  {
    request: /: GET \/events\?/,
    lines: /^- document \{"Action":"(un)?pause"/,
    reason: 'this engine now and then tells of a pause twice',
    sometimes: true,
  },
  {
    request: /: GET \/events\S*\{"container":\{"told":true\},"event":\["die","start"\]\}/,
    lines: /^([-+] (status|message|type|no body)|\+ (document \{"Action":"(start|die)"|in order: ))/,
    reason: 'both forms of filters may stand in one request',
  },
  {
    request: /version 9\.99 [12]: /,
    lines: /^[-+] message client version 9\.99 is too new\. Maximum supported API version is 1\.(41|51)$/,
    reason: 'the newest version is ours',
  },
  {
    request: /version 1\.0 [12]: /,
    lines:
      /^([-+] (type|body|message) .*client version 1\.0 is too old\. Minimum supported API version is 1\.(12|24)|- type text\/plain; charset=utf-8$|\+ type application\/json$)/,
    reason: 'the oldest version is ours, and errors are JSON for every version',
  },
  {
    request: /: POST \/auth "\{?"$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'a malformed body answers 400 with a sentence, as in the published contract for other bodies',
  },
];
