import { userInfo } from 'node:os';
import { is } from './json.ts';

/** For records of what was done: who ran the program, and where. */
export const callerFields = {
  host: is.text,
  user: is.text,
  /** The user who became `user` by sudo. */
  sudoUser: is.optional(is.text),
};

export interface Caller {
  readonly host: string;
  readonly user: string;
  readonly sudoUser?: string | undefined;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container, the user may have no entry in passwd.
    return `user ${process.getuid?.() ?? 'unknown'}`;
  }
}

export function callerOf({ hostName }: { readonly hostName: string }): Caller {
  const sudoUser = process.env['SUDO_USER'];
  const user = userName();
  const isOther = sudoUser !== undefined && sudoUser !== '' && sudoUser !== user;
  return { host: hostName, user, ...(isOther ? { sudoUser } : {}) };
}

/** `postgres@alpha`, with the user behind sudo. */
export function callerText({ host, user, sudoUser }: Caller): string {
  return `${user}@${host}${sudoUser === undefined ? '' : ` (sudo: ${sudoUser})`}`;
}
