// What people type, one line each: every one is run by the stock client on both engines, and must end with the same code
// and say the same. `bb` is the image; what a line makes, a later one of its scenario removes.
export const SCENARIOS: Readonly<Record<string, readonly string[]>> = {
  'runs and exit codes': [
    'docker run --rm bb echo hello',
    'docker run --rm bb sh -c "echo out; echo err >&2; exit 7"',
    'docker run --rm bb nosuchprogram',
    'docker run --rm bb /etc',
    'docker run --rm bb /etc/passwd',
    'docker run --rm -w relative bb true',
    'docker run --rm -m 1k bb true',
    'docker run --rm --cpus 10000 bb true',
    'docker run --rm --network nowhere bb true',
    'echo typed | docker run --rm -i bb cat',
    'docker run --rm -u 5:6 -w /made/here bb sh -c "id -u; id -g; pwd"',
    'docker run --rm --entrypoint echo bb from-entrypoint',
  ],
  'a life': [
    'docker create --name life -l a=b -e X=1 bb sleep 1000',
    'docker ps -a --filter name=life --format "{{.Names}} {{.Image}} {{.Command}} {{.Status}} {{.State}}"',
    'docker start life',
    'docker start life',
    'docker inspect -f "{{.State.Status}} {{.State.ExitCode}} {{.Config.Labels}} {{.HostConfig.RestartPolicy.Name}}" life',
    'docker exec life echo inside',
    'docker exec life sh -c "exit 3"',
    'docker exec life nosuchprogram',
    'docker exec -e Y=2 -w /tmp -u 7 life sh -c "id -u; pwd; echo $X$Y"',
    'docker pause life',
    'docker pause life',
    'docker exec life true',
    'docker unpause life',
    'docker unpause life',
    'docker rename life other',
    'docker rename other other',
    'docker rm other',
    'docker update -m 64m --memory-swap 128m other',
    'docker inspect -f "{{.HostConfig.Memory}}" other',
    'docker top other -o pid,comm | wc -l',
    'docker kill -s USR1 other',
    'docker kill -s NOPE other',
    'docker stop -t 0 other',
    'docker stop other',
    'docker kill other',
    'docker exec other true',
    'docker wait other',
    'docker start other && docker rm -f other',
    'docker rm other',
    'docker start other',
    'docker inspect other',
  ],
  logs: [
    'docker run --name said bb sh -c "echo one; echo two >&2; printf three"',
    'docker logs said',
    'docker logs --tail 1 said',
    'docker logs -f said',
    'docker logs --since 1h said 2>/dev/null',
    'docker logs --until 1h said',
    'docker logs nobody',
    'docker rm said',
    'docker run --name quiet --log-driver none bb echo x',
    'docker logs quiet',
    'docker rm quiet',
    'docker run --rm --log-driver nope bb true',
  ],
  files: [
    'docker run -d --name files bb sleep 1000',
    'echo from-host > $DIR/compat-in && docker cp $DIR/compat-in files:/tmp/in && rm $DIR/compat-in',
    'docker exec files cat /tmp/in',
    'docker cp files:/tmp/in $DIR/compat-out && cat $DIR/compat-out && rm $DIR/compat-out',
    'docker cp files:/etc/passwd - | tar -t',
    'docker cp files:/nope /tmp',
    'docker cp /nope files:/tmp',
    'echo x > $DIR/compat-in; docker cp $DIR/compat-in files:/nope/deeper; rm $DIR/compat-in',
    'docker exec files sh -c "rm /etc/group; mkdir /etc/new; touch /etc/new/file"',
    'docker diff files | grep -v /tmp',
    'docker stop -t 0 files',
    'docker cp files:/etc/new - | tar -t',
    'docker export files | tar -t etc/new/file',
    'docker commit -m why -c "CMD [\\"echo\\", \\"committed\\"]" files committed:1 | cut -c1-7',
    'docker run --rm committed:1',
    'docker run --rm committed:1 ls /etc/group',
    'docker history --format "{{.Comment}}" committed:1 | head -1',
    'docker rmi committed:1 | head -1',
    'docker rm files',
  ],
  'volumes and mounts': [
    'docker volume create --label a=b vol',
    'docker volume inspect -f "{{.Name}} {{.Driver}} {{.Labels}} {{.Scope}}" vol',
    'docker run --rm -v vol:/v bb sh -c "echo kept > /v/f"',
    'docker run --rm -v vol:/v:ro bb sh -c "cat /v/f; touch /v/x"',
    'docker run -d --name user -v vol:/v bb sleep 1000',
    'docker volume rm vol',
    'docker run --rm --volumes-from user bb cat /v/f',
    'docker rm -f user',
    'docker volume rm vol',
    'docker volume rm vol',
    'docker volume inspect vol',
    'docker run --rm --mount type=bind,source=/nowhere-at-all,target=/m bb true',
    'docker run --rm --mount type=tmpfs,target=/t,tmpfs-size=1m bb sh -c "df -k /t | tail -1 | awk \'{print \\$2}\'"',
    'docker run --rm -v relative:path:x bb true',
    'docker run --rm -v /a:/b:nope bb true',
    'docker run --rm --read-only bb touch /x',
  ],
  'names and selections': [
    'docker run -d --name sel1 -l kind=a bb sleep 1000',
    'docker run --name sel2 -l kind=b bb sh -c "exit 4"',
    'docker run --name sel1 bb true',
    'docker run --name "bad name" bb true',
    'docker ps --format "{{.Names}}"',
    'docker ps -a --filter label=kind --format "{{.Names}}"',
    'docker ps -a --filter exited=4 --format "{{.Names}}"',
    'docker ps -a --filter status=nope',
    'docker ps --filter nope=1',
    'docker ps -a --filter ancestor=bb --filter name=sel --format "{{.Names}} {{.Labels}}"',
    'docker container prune -f --filter label=kind=b | grep -c Total',
    'docker rm -f sel1',
    'docker rm -f sel1',
    'docker inspect nobody',
  ],
  events: [
    'since=$(date +%s); docker run --rm --name ev bb true; docker events --since $since --until $(($(date +%s)+1)) --filter container=ev --format "{{.Type}} {{.Action}}"',
    'since=$(date +%s); docker run -d --name ev bb sleep 1000 >/dev/null; docker exec ev true; docker kill ev; docker wait ev >/dev/null; docker rm ev >/dev/null; docker events --since $since --until $(($(date +%s)+1)) --filter container=ev --format "{{.Action}}"',
    'docker events --since 1h --until 0s --filter nope=x',
  ],
  images: [
    'docker images --format "{{.Repository}}:{{.Tag}}" bb',
    'docker tag bb second:1',
    'docker image inspect -f "{{.Os}} {{.Config.Cmd}}" second:1',
    'docker rmi second:1',
    'docker rmi second:1',
    'docker image inspect second:1',
    'docker save bb | docker load',
    'docker tag bb "Bad:Name"',
  ],
  'wrong requests': [
    'docker network rm bridge',
    'docker network inspect nowhere',
    'docker exec nobody true',
    'docker attach nobody',
    'docker stats --no-stream nobody',
    'docker update --restart nope nobody',
    'docker run --rm --memory 64m --memory-swap 32m bb true',
    'docker run --rm --restart always bb true',
    'docker run --rm --cpuset-cpus a-b bb true',
    'docker run --rm --ulimit nope=1 bb true',
    'docker run --rm --cap-add NOPE bb true',
    'docker run --rm --security-opt nope bb true',
    'docker run --rm --pid container:nobody bb true',
    'docker run --rm --runtime nope bb true',
    'docker run --rm --device /dev/nope bb true',
    'docker run --rm -h bad_host! bb true',
  ],
};

/** With Debian's python3-docker, against whatever DOCKER_HOST says. Each line of output is compared. */
export const DOCKER_PY = `
import docker, io, tarfile
c = docker.from_env()
say = lambda *words: print(*words)
say('ping', c.ping())
say('run', c.containers.run('bb', ['echo', 'hi'], remove=True))
try: c.containers.run('bb', ['sh', '-c', 'exit 9'], remove=True)
except docker.errors.ContainerError as e: say('exit', e.exit_status)
try: c.containers.get('nobody')
except docker.errors.NotFound as e: say('missing', e.response.status_code, e.explanation)
try: c.images.get('nobody:1')
except docker.errors.ImageNotFound as e: say('image', e.response.status_code)
box = c.containers.run('bb', ['sleep', '1000'], detach=True, labels={'a': 'b'}, name='py')
say('state', c.containers.get('py').status, box.labels)
say('exec', box.exec_run(['sh', '-c', 'echo out; echo err >&2; exit 3'], demux=True))
tar = io.BytesIO()
with tarfile.open(fileobj=tar, mode='w') as t:
    info = tarfile.TarInfo('f'); info.size = 4; t.addfile(info, io.BytesIO(b'data'))
say('put', box.put_archive('/tmp', tar.getvalue()))
bits, stat = box.get_archive('/tmp/f')
say('get', stat['name'], stat['size'], len(b''.join(bits)) % 512)
say('top', box.top()['Titles'])
say('diff', sorted(d['Path'] for d in box.diff()))
say('stats', sorted(box.stats(stream=False).keys() & {'cpu_stats', 'memory_stats', 'pids_stats', 'precpu_stats'}))
box.stop(timeout=0)
say('wait', box.wait()['StatusCode'])
say('logs', box.logs())
try: box.exec_run('true')
except docker.errors.APIError as e: say('conflict', e.response.status_code)
v = c.volumes.create('pyvol', labels={'a': 'b'})
say('volume', v.name, v.attrs['Labels'])
v.remove()
box.remove()
say('list', [x.name for x in c.containers.list(all=True, filters={'name': 'py'})])
`;
