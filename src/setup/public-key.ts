/** Public keys of ssh, as they are in a .pub file, on a command line and in authorized_keys. Pure. */
import { printable } from '../system/printable.ts';

export interface PublicKey {
  readonly type: string;
  /** In base64. */
  readonly blob: string;
  readonly comment: string;
}

const shape =
  /^((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[\w.@-]{1,60}) ([A-Za-z0-9+/]{40,8000}={0,2})(?: (.{0,200}))?$/;

/** The key's binary form begins with its type, after the length of that. */
function beginsWith(blob: string, type: string): boolean {
  const bytes = Buffer.from(blob, 'base64');
  if (bytes.length < 4) return false;
  const length = bytes.readUInt32BE(0);
  return bytes.subarray(4, 4 + length).toString('latin1') === type;
}

/** Undefined for any other text, also for a key with options before it. */
export function parsePublicKey(text: string): PublicKey | undefined {
  const line = text.trim();
  if (line.includes('\n') || printable(line) !== line || line.includes('\t')) return undefined;
  const [, type = '', blob = '', comment = ''] = shape.exec(line) ?? [];
  if (type === '' || !beginsWith(blob, type)) return undefined;
  // It is printed in single quotes, for a shell.
  return { type, blob, comment: comment.replaceAll(/[^\w.@+:-]/g, '_') };
}

export function keyText({ type, blob, comment }: PublicKey): string {
  return comment === '' ? `${type} ${blob}` : `${type} ${blob} ${comment}`;
}

/**
 * A host has two keys, because the keys of the other hosts are each for one program of ours there: with the first one
 * cmd_archiver delivers to an archive and cmd_standby asks it, with the second one cmd_standby asks for the data.
 */
export const keySides = ['archive', 'data'] as const;
export type KeySide = (typeof keySides)[number];
export type OwnKeys = Readonly<Record<KeySide, PublicKey>>;

/** The comment of a key says which of the two it is. */
export const keyComment = (side: KeySide, hostName: string): string => `pitrtools-${side}@${hostName}`;

/** Undefined for a key that --setup has not made. */
export function sideOf({ comment }: PublicKey): KeySide | undefined {
  return keySides.find((side) => comment.startsWith(`pitrtools-${side}@`));
}

/** Whether authorized_keys has a key, with whatever options. */
export function isAuthorized(authorizedKeys: string, { type, blob }: PublicKey): boolean {
  return authorizedKeys
    .split('\n')
    .some((line) => !line.trimStart().startsWith('#') && ` ${line} `.includes(` ${type} ${blob} `));
}
