import type { Primary } from './primary.ts';

/** The host whose files are copied: the primary, or the standby that `basebackup_source` names. */
export function originOf(primary: Primary): Primary {
  return primary.source ?? primary;
}

/** The same in messages. */
export function originName({ source }: Primary): string {
  return source === undefined ? 'the primary' : source.shell.target.host;
}
