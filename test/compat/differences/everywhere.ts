// What differs in many answers alike: fields that came or went with newer versions of the API, and lists that are never null.
import type { Listed } from './listed.ts';

const ONE = /: (GET \/containers\/(\w+|\{id(:\d+)?\})\/json(\?size=1)?)$/;

export const EVERYWHERE: readonly Listed[] = [
  {
    request: /./,
    lines: /^- without (api-version|docker-experimental|ostype|server)$/,
    reason: 'newer engines send these headers with every answer',
  },
  {
    request: /: GET (\/containers\/(\w+|\{id(:\d+)?\})\/json|\/containers\/json|\/system\/df)/,
    lines:
      /^\+ (\[\]|\.Containers\[\])?\.NetworkSettings\.Networks\.\w+\.(GwPriority (number|= 0)|DNSNames (null|array)|DNSNames\[\] string)$/,
    reason: 'fields of the newer API, which clients of the older one do not look at',
  },
  {
    request: /: GET \/networks/,
    lines: /^\+ (\[\])?\.EnableIPv4 boolean$/,
    reason: 'a field of the newer API, which clients of the older one do not look at',
  },
  {
    request: ONE,
    lines: /^[-+] \.HostConfig\.((Dns|DnsOptions|DnsSearch) (null|array)|PortBindings (null|object))$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /: GET \/containers\/(\w+\/json|json\?all=1$)/,
    lines: /^[-+] (\[\])?\.HostConfig\.(NetworkMode = "(default|bridge)"|RestartPolicy\.Name = "(no)?")$/,
    reason: 'newer engines say which network and which policy the default is',
  },
  {
    request: ONE,
    lines:
      /^([-+] \.HostConfig\.Runtime = "(runc|shoal)"|\+ \.HostConfig\.Runtime string|\+ \.HostConfig\.MaskedPaths\[\] = "\/(proc\/interrupts|sys\/devices\/virtual\/powercap)")$/,
    reason: 'masked as newer engines do since 28; the runtime has its own name, and is named before the start',
  },
  {
    request: ONE,
    lines: /^[-+] \.NetworkSettings\.SandboxKey = ".+"$/,
    reason: 'the daemons have folders of their own',
  },
  {
    request: /: GET \/containers\/listed2\/json$/,
    lines: /^[-+] \.NetworkSettings\.Sandbox(ID = "(<id>)?"|Key = ".*")$/,
    reason: 'a stopped container has no network namespace, and none is named',
  },
  {
    request: /: POST \/containers\/\w+\/update /,
    lines: /^[-+] \.Warnings (null|array)$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /: POST \/\w+\/prune(\?|$)/,
    lines: /^[-+] \.(ContainersDeleted|NetworksDeleted|ImagesDeleted|VolumesDeleted) (null|array)$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /: (POST \/volumes\/create|GET \/volumes(\?|\/|$))/,
    lines: /^[-+] (\.Volumes\[\])?\.Labels (null|object)$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /: GET \/images\/json/,
    lines: /^[-+] \[\]\.(Labels (null|object)|RepoDigests (null|array))$/,
    reason: 'as in the published contract, never null',
  },
  {
    request: /: GET \/images\/\S+\/json$/,
    lines: /^[-+] \.Config\.Labels (null|object)$/,
    reason: 'as in the published contract, never null',
  },
];
