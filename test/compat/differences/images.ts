// Images: shown, named, loaded, saved, pulled and pushed.
import { answers, type Listed, WORDS } from './listed.ts';

export const IMAGES: readonly Listed[] = [
  {
    request: /: GET \/images\/(committed:1|\{dangling\})\/json$/,
    lines: /^[-+] \.ContainerConfig\.(Cmd (array|null)|Cmd\[\] string|Labels (object|null))$/,
    because: 'newer engines',
    reason: 'what the container of a commit had been asked left the API with 1.45; the keys stay for compose 1',
  },
  {
    request: /: GET \/images\/\S+\/json$/,
    lines: /^- \.GraphDriver\.Data\.(MergedDir|WorkDir) string$/,
    reason: 'an image is never mounted, so nothing is merged anywhere',
  },
  {
    request: /: GET \/images\/(made|nosuch|team%2Fnosuch|team\/nosuch|(bb@)?sha256:0+)\/json$/,
    lines: /^[-+] message (no such image: \S+: )?no such image: \S*(:latest|<digest>)$/,
    reason: 'newer engines say it once',
  },
  {
    request: /: (GET \/images\/Bad:Name\/json|GET \/distribution\/Bad:Name\/json|DELETE \/images\/Bad:Name)$/,
    lines: /^[-+] message .*invalid reference format: repository name (\(library\/Bad\) )?must be lowercase$/,
    because: 'newer engines',
    reason: 'a name that is none is told as such, in their words',
  },
  {
    request: /: GET \/images\/committed:1\/history$/,
    lines: /^(- \[\]\.Tags\[\] = "bb:latest"|\+ \[\]\.Tags null)$/,
    reason: 'steps of an image below are not looked up',
  },
  {
    request: /commit \d+: POST \/images\/prune$/,
    lines: /^- \.ImagesDeleted\[\]( object|\.Deleted string)$/,
    reason: 'the layers of an image in use are not images here',
  },
  {
    request: /: POST \/images\/made:1\/tag(\?repo=(Bad:Name|x&tag=bad%20tag)?)?$/,
    lines: answers(500, 400),
    because: 'newer engines',
    reason: 'a name that is none answers 400 in their words, as in the published contract',
  },
  {
    request: /: POST \/images\/create$/,
    lines: answers(500, 400),
    because: 'nonsense',
    reason: 'neither an image nor a source is named',
  },
  {
    request: /: POST \/images\/create\?(fromSrc=-&repo=Bad:Name|fromImage=(Bad:Name&tag=1|x&tag=bad%20tag))$/,
    lines: WORDS,
    because: 'newer engines',
    reason: 'the words of newer engines',
  },
  {
    request: /: GET \/images\/(bb\/get|get\?names=bb)$/,
    lines: /^([-+] entry (<id>\S*|blobs\/\S*|index\.json|manifest\.json|oci-layout|repositories) )/,
    reason: 'archives have the OCI layout, with the manifest that older engines read',
  },
  {
    request: /: GET \/images\/get$/,
    lines: /^[-+] entry (blobs\/\S*|index\.json|manifest\.json|oci-layout|repositories) /,
    reason: 'archives have the OCI layout, with the manifest that older engines read',
  },
  {
    request: /: GET \/images\/(get\?names=nosuch|nosuch\/get)$/,
    lines: /^[-+] message no such image: nosuch(:latest)?$/,
    reason: 'with the tag that was looked for',
  },
  {
    request: /: POST \/(images|containers)\/create\?\S+platform=nonsense\/a\/b\/c/,
    lines: /^[-+] message "nonsense\/a\/b\/c": .*: invalid argument$/,
    reason: 'it says which part is unknown',
  },
  {
    request: /: POST \/images\/127\.0\.0\.1:1\/nosuch\/push\?tag=2$/,
    lines: /^[-+] document \{"error":"(Get .*connection refused|An image does not exist locally with the tag: )/,
    because: 'newer engines',
    reason: 'what is not here is not looked for there',
  },
  {
    request: /: POST \/images\/127\.0\.0\.1:1\/nosuch\/push\?tag=1$/,
    lines:
      /^(- status 400|\+ status 200|- message bad parameters and missing X-Registry-Auth: EOF|\+ document \{"(status":"The push refers to|error":"Get .*connection refused)|\+ in order: )/,
    because: 'newer engines',
    reason: 'without a login it is tried without one, as newer engines do',
  },
];
