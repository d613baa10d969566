/** The commands that --setup shows to a person. Pure. */
import { defaultIni } from '../config/default-ini.ts';
import { addressText, type HostAddress } from '../host-address.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { SetupFacts } from './facts.ts';
import type { SetupRole } from './request.ts';

/** Plain words need no quotes. */
export const typedWord = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word));

/** The name under which ssh notes the key of a host: without a port if that is the usual one. */
export function knownHostName({ host, port }: HostAddress): string {
  return port === undefined || port === 22 ? host : `[${host}]:${port}`;
}

type Program = 'cmd_archiver' | 'cmd_standby';

/** How a program is called, on this host and on the others: the INI files are at the same place there. */
export function callOf(
  { programs, places }: Pick<SetupFacts, 'programs' | 'places'>,
  program: Program,
): string {
  const iniFile = program === 'cmd_archiver' ? places.archiverIni : places.standbyIni;
  const { typed } = programs[program];
  return iniFile === defaultIni(program) ? typedWord(typed) : `${typedWord(typed)} -C ${typedWord(iniFile)}`;
}

export function hostFlags(role: SetupRole, hosts: readonly HostAddress[]): string {
  return `--${role === 'primary' ? 'standby' : 'primary'} ${hosts.map(addressText).join(' ')}`;
}

interface ServiceCommand {
  readonly as: 'root' | 'me';
  readonly line: string;
}

/** How this host's server is started, stopped or restarted. */
export function serverCommand(
  { cluster, hasSystemd, programFolder }: Pick<SetupFacts, 'cluster' | 'hasSystemd' | 'programFolder'>,
  what: 'start' | 'stop' | 'restart',
): ServiceCommand {
  const { debianName, pgdata } = cluster;
  const [major = '', name = ''] = debianName?.split('/') ?? [];
  const pgdg = /^\/var\/lib\/pgsql\/([\d.]+)\/data$/.exec(pgdata)?.[1];
  if (hasSystemd && debianName !== undefined)
    return { as: 'root', line: `systemctl ${what} postgresql@${major}-${name}` };
  if (debianName !== undefined) return { as: 'me', line: `pg_ctlcluster ${major} ${name} ${what}` };
  if (hasSystemd && pgdg !== undefined) return { as: 'root', line: `systemctl ${what} postgresql-${pgdg}` };
  const mode = what === 'start' ? '' : ' -m fast';
  const pgCtl = programFolder === undefined ? 'pg_ctl' : typedWord(`${programFolder}/pg_ctl`);
  return { as: 'me', line: `${pgCtl} -D ${typedWord(pgdata)}${mode} ${what}` };
}
