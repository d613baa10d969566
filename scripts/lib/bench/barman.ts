import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeScript } from '../../../test/harness/host.ts';
import { type Ground, holdsAll, repositoryOf, type Site } from './site.ts';
import type { Tool } from './tools.ts';

const program = '/usr/bin/barman-wal-archive';

/** Barman's archive_command. On the standby, modules of the same package receive what it sends. */
export const barman: Tool = {
  name: 'barman',
  label: 'barman-wal-archive',
  needs: program,
  prepare: (ground) => {
    writeServer(ground);
    return Promise.resolve();
  },
  archiveCommand: ({ primary, standbys }) =>
    `PATH=${join(primary.host.directory, 'barman')}:$PATH ${program} --config ${configOf(standbys[0])} -U ${primary.user} ${standbys[0]?.name ?? ''} bench %p`,
  isDelivered: (site, segments) => holdsAll(incomingOf(site.standbys[0]), segments, site.segmentBytes),
};

type BarmanHost = Site['standbys'][number] | undefined;

function configOf(standby: BarmanHost): string {
  return join(standby?.host.directory ?? '', 'barman.conf');
}

function incomingOf(standby: BarmanHost): string {
  return join(standby === undefined ? '' : repositoryOf(standby), 'barman', 'bench', 'incoming');
}

function writeServer({ primary, standbys }: Ground): void {
  const [standby] = standbys;
  if (standby === undefined) return;
  const home = join(repositoryOf(standby), 'barman');
  mkdirSync(incomingOf(standby), { recursive: true });
  writeFileSync(
    configOf(standby),
    `[barman]
barman_home = ${home}
barman_user = ${primary.user}
barman_lock_directory = ${home}
log_file = ${join(home, 'log')}
[bench]
description = benchmark
archiver = on
conninfo = host=${primary.host.address}
ssh_command = ssh ${primary.host.name}
incoming_wals_directory = ${incomingOf(standby)}
`,
  );
  const receiver = writeScript(
    standby.host,
    'barman',
    `exec /usr/bin/python3 -c 'import sys; from barman.cli import main; sys.exit(main())' "$@"`,
  );
  writeSsh(primary.host, receiver);
}

/** It calls `ssh` and, at the other end, `barman`, which is not on the PATH here. */
function writeSsh(host: Ground['primary']['host'], receiver: string): void {
  mkdirSync(join(host.directory, 'barman'), { recursive: true });
  const script = `#!/bin/sh
for word do
  shift
  [ "$word" != barman ] || word=${receiver}
  set -- "$@" "$word"
done
exec ${host.ssh} -o BatchMode=yes -o StrictHostKeyChecking=accept-new "$@"
`;
  writeFileSync(join(host.directory, 'barman', 'ssh'), script, { mode: 0o700 });
}
