import { appendFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { serverProgram } from '../harness/postgres-programs.ts';
import { mustRun } from '../harness/processes.ts';
import { type Layout, newPair, type Pair } from './setup-kit.ts';

/** Two hosts on which PGDG's RPM has just been installed, and its cluster made and started. */
export function newPgdgPair(major: number): Promise<Pair> {
  return newPair(pgdg(major));
}

/** /usr/pgsql-18/bin, and /var/lib/pgsql/18/data with its own configuration. */
function pgdg(major: number): Layout {
  const programs = `/usr/pgsql-${major}`;
  const home = '/var/lib/pgsql';
  const pgdata = `${home}/${major}/data`;
  const start = `${programs}/bin/pg_ctl -D ${pgdata} -s -w -l ${home}/${major}/server.log`;
  return {
    own: { etc: '/etc', lib: home },
    home,
    room: (root) => [
      // The rest of this machine's /usr is as it is.
      `mkdir -p ${root}/usr/pgsql-${major}`,
      `for each in /usr/*; do
        if [ -L "$each" ]; then cp -P "$each" ${root}/usr; else mkdir "${root}$each"; mount --rbind "$each" "${root}$each"; fi
      done`,
      `mount --bind ${dirname(dirname(serverProgram(major, 'postgres')))} ${root}${programs}`,
      `mount --rbind ${root}/usr /usr`,
      `mount -t tmpfs -o mode=0755 tmpfs /var/lib && mkdir ${home}`,
    ],
    systemctl: `
[ "$1" != enable ] || { echo "$@" >> /run/enabled; exit; }
[ "$2" = postgresql-${major} ] || { echo "no such unit: $2" >&2; exit 1; }
exec ${start} -m fast "$1"`,
    createCluster: async (world, { at, type }, env) => {
      await mustRun(`${programs}/bin/initdb`, ['-D', pgdata, '--no-sync', '--auth=peer'], { env });
      // The hosts have one /tmp, in which PGDG's server makes a second socket.
      const settings = `unix_socket_directories = '/run/postgresql'\nfsync = 'off'\n`;
      appendFileSync(at(`${pgdata}/postgresql.conf`), settings);
      await mustRun('sh', ['-c', `${start} start`], { env });
      world.onClose(async () => {
        await type(`${start} -m immediate stop`);
      });
    },
  };
}
