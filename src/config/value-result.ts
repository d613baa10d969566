/** The result of reading one value: typed by its option's kind, or every reason why it cannot be used. */
export type ValueResult =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'problems'; readonly messages: readonly string[] };

export function value(read: unknown): ValueResult {
  return { kind: 'value', value: read };
}

export function wrong(...messages: string[]): ValueResult {
  return { kind: 'problems', messages };
}
