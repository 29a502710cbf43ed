# docker-py, as Debian has it (python3-docker), through one life on the engine that DOCKER_HOST names. Prints one line for
# each step: its name, and what it gave or with which status and words it failed.
import docker
import io
import sys
import tarfile
import time

client = docker.from_env()
api = client.api


def step(name, work):
    try:
        print(f'{name}\t{work()!r}')
    except docker.errors.APIError as error:
        print(f'{name}\tfails {type(error).__name__} {error.response.status_code} {error.explanation}')
    except docker.errors.DockerException as error:
        print(f'{name}\tfails {type(error).__name__} {error}')
    sys.stdout.flush()


def tar(**files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode='w') as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return packed.getvalue()


def picked(table, *keys):
    return [table[key] for key in keys]


# The engine itself
step('ping', client.ping)
step('version', lambda: picked(client.version(), 'Os', 'Arch'))
step('info', lambda: picked(client.info(), 'OSType', 'LoggingDriver', 'Containers'))
step('df', lambda: sorted(client.df().keys() - {'BuilderSize'}))
step('login', lambda: client.login('a', 'b', registry='127.0.0.1:1'))

# Containers
step('run', lambda: client.containers.run('bb', ['echo', 'hi'], remove=True))
step('run with both streams', lambda: client.containers.run('bb', ['sh', '-c', 'echo a; echo b >&2'], remove=True, stderr=True, stdout=False))
step('run that fails', lambda: client.containers.run('bb', ['sh', '-c', 'exit 9'], remove=True))
step('run of nothing', lambda: client.containers.run('127.0.0.1:1/nosuch-image', 'true'))
step('run of a program that is not there', lambda: client.containers.create('bb', 'nosuchprogram', name='pybad').start() )
step('remove it', lambda: client.containers.get('pybad').remove())
box = client.containers.run(
    'bb', ['sleep', '1000'], detach=True, name='py', labels={'a': 'b'}, environment={'A': '1'},
    ports={'80/tcp': 8086}, volumes={'pyvol': {'bind': '/v', 'mode': 'rw'}}, mem_limit='64m', hostname='inside',
    restart_policy={'Name': 'on-failure', 'MaximumRetryCount': 2}, cap_add=['NET_ADMIN'], tmpfs={'/t': 'size=1m'},
)
step('get', lambda: (box.status, client.containers.get('py').status, box.labels, box.name))
step('ports', lambda: box.reload() or [port['HostPort'] for port in box.ports['80/tcp']][:1])
step('host config', lambda: picked(box.attrs['HostConfig'], 'Memory', 'RestartPolicy', 'CapAdd', 'Tmpfs', 'Binds'))
step('mounts', lambda: [picked(mount, 'Type', 'Name', 'Destination', 'RW') for mount in box.attrs['Mounts']])
step('exec', lambda: box.exec_run(['sh', '-c', 'echo out; echo err >&2; exit 3'], demux=True))
step('exec with environment', lambda: box.exec_run('sh -c "echo $B; id -u; pwd"', environment={'B': '2'}, user='7', workdir='/tmp'))
step('exec in a terminal', lambda: box.exec_run('echo tty', tty=True))
step('exec that is streamed', lambda: b''.join(box.exec_run('echo streamed', stream=True).output))
step('exec detached', lambda: box.exec_run('true', detach=True).output)
step('exec of a program that is not there', lambda: box.exec_run('nosuchprogram').exit_code in (126, 127))


def through_socket():
    made = api.exec_create('py', ['cat'], stdin=True)
    socket = api.exec_start(made['Id'], socket=True)
    raw = socket._sock
    raw.sendall(b'typed\n')
    raw.shutdown(1)
    said = b''
    while True:
        more = socket.read(4096) if hasattr(socket, 'read') else raw.recv(4096)
        if not more:
            break
        said += more
    socket.close()
    return said[8:], api.exec_inspect(made['Id'])['ExitCode']


step('exec through its socket', through_socket)
step('put archive', lambda: box.put_archive('/tmp', tar(f='data')))
step('put archive into nothing', lambda: box.put_archive('/nowhere', tar(f='data')))
step('get archive', lambda: [(stat['name'], stat['size'], len(b''.join(bits)) % 512) for bits, stat in [box.get_archive('/tmp/f')]])
step('get archive of nothing', lambda: box.get_archive('/nowhere'))
step('top', lambda: box.top()['Titles'])
step('diff', lambda: sorted(entry['Path'] for entry in box.diff()))
step('stats', lambda: sorted(box.stats(stream=False).keys() & {'cpu_stats', 'memory_stats', 'pids_stats', 'precpu_stats'}))
step('stats that are streamed', lambda: next(box.stats(decode=True))['name'])
step('rename', lambda: box.rename('py2'))
step('rename to a name that is taken', lambda: client.containers.create('bb', name='py3').rename('py2'))
step('update', lambda: box.update(mem_limit='128m', memswap_limit='256m'))
step('pause', box.pause)
step('exec while paused', lambda: box.exec_run('true'))
step('unpause', box.unpause)
step('resize', lambda: box.resize(10, 20))
step('remove while it runs', box.remove)
step('kill by a signal', lambda: box.kill('WINCH'))
step('restart', lambda: box.restart(timeout=0))
step('stop', lambda: box.stop(timeout=0))
step('stop again', box.stop)
step('kill', box.kill)
step('wait', lambda: box.wait()['StatusCode'])
step('exec after its end', lambda: box.exec_run('true'))
step('start', box.start)
step('commit', lambda: box.commit('pyimage', tag='1', message='why', changes='ENV X=1').tags)
step('export', lambda: len(b''.join(box.export())) % 512)
step('list', lambda: sorted(one.name for one in client.containers.list(all=True, filters={'name': 'py'})))
step('list by state', lambda: [one.name for one in client.containers.list(filters={'status': 'running', 'label': 'a=b'})])
step('list by what nobody knows', lambda: client.containers.list(filters={'nope': 'x'}))
logged = client.containers.run('bb', ['sh', '-c', 'echo one; echo two; sleep 0.2; echo three >&2'], detach=True, name='pylog')
step('wait for the next', lambda: logged.wait(timeout=20)['StatusCode'])
step('logs', lambda: logged.logs(stderr=False))
step('logs, the last line', lambda: logged.logs(tail=1))
step('logs, streamed', lambda: sorted(logged.logs(stream=True, follow=True)))
step('logs with times', lambda: len(logged.logs(timestamps=True, stderr=False).splitlines()))
step('prune containers', lambda: len(client.containers.prune(filters={'label': 'nobodys'})['ContainersDeleted'] or []))
step('remove', lambda: box.remove(force=True, v=True))
step('remove the others', lambda: [client.containers.get(name).remove() for name in ('py3', 'pylog')])
step('get nobody', lambda: client.containers.get('nobody'))


# Events of the container above, oldest first
def told():
    seen = client.events(since=0, until=time.time() + 0.01, filters={'container': box.id, 'type': 'container'}, decode=True)
    return [event['Action'] for event in seen if event['Action'] in ('create', 'start', 'rename', 'update', 'destroy')]


step('events', told)

# Images
step('images', lambda: [image.tags for image in client.images.list(name='pyimage')])
step('image', lambda: (client.images.get('bb').attrs['Os'], 'bb:latest' in client.images.get('bb').tags))
step('history', lambda: [entry['Comment'] for entry in client.images.get('bb').history()])
step('tag', lambda: client.images.get('bb').tag('pyimage', tag='2'))
step('save and load', lambda: [image.tags for image in client.images.load(b''.join(client.images.get('pyimage:2').save(named=True)))] != [])
step('import', lambda: 'status' in api.import_image_from_data(tar(x='y'), repository='pyimage', tag='3'))
step('pull of nothing', lambda: client.images.pull('127.0.0.1:1/nosuch', tag='1'))
step('push to nowhere', lambda: 'error' in client.images.push('127.0.0.1:1/nosuch', tag='1'))
step('registry data', lambda: client.images.get_registry_data('127.0.0.1:1/nosuch:1'))
step('remove images', lambda: [client.images.remove(f'pyimage:{tag}') for tag in (1, 2, 3)])
step('remove an image again', lambda: client.images.remove('pyimage:1'))
step('get no image', lambda: client.images.get('nobody:1'))
step('prune images', lambda: sorted(client.images.prune(filters={'label': 'nobodys'})))

# Volumes
volume = client.volumes.create('pyvol2', labels={'a': 'b'})
step('volume', lambda: (volume.name, volume.attrs['Labels'], volume.attrs['Driver'], volume.attrs['Scope']))
step('volumes', lambda: sorted(one.name for one in client.volumes.list(filters={'name': 'pyvol'})))
step('remove a volume', volume.remove)
step('remove it again', volume.remove)
step('get no volume', lambda: client.volumes.get('pyvol2'))
step('prune volumes', lambda: sorted(client.volumes.prune(filters={'label': 'nobodys'})))

# Networks
network = client.networks.create('pynet', driver='bridge', labels={'a': 'b'}, check_duplicate=True)
step('network', lambda: (network.name, picked(network.attrs, 'Driver', 'Scope', 'Labels', 'Internal')))
step('create it again', lambda: client.networks.create('pynet', check_duplicate=True))
member = client.containers.run('bb', ['sleep', '1000'], detach=True, name='pymember')
step('connect', lambda: network.connect(member, aliases=['aka']))
step('connect again', lambda: network.connect(member))
step('members', lambda: network.reload() or [one.name for one in network.containers])
step('a name in it', lambda: client.containers.run('bb', ['ping', '-c', '1', '-W', '5', 'aka'], remove=True, network='pynet') != b'')
step('remove while in use', network.remove)
step('disconnect', lambda: network.disconnect(member))
step('disconnect again', lambda: network.disconnect(member))
step('networks', lambda: [one.name for one in client.networks.list(names=['pynet'])])
step('remove the network', network.remove)
step('get no network', lambda: client.networks.get('pynet'))
member.remove(force=True)
step('prune networks', lambda: sorted(client.networks.prune(filters={'label': 'nobodys'})))
