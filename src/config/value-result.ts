/** The result of reading one value: typed by its option's kind, or every reason why it cannot be used. */
export type ValueResult<Value> =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'problems'; readonly messages: readonly string[] };

export function value<Value>(read: Value): ValueResult<Value> {
  return { kind: 'value', value: read };
}

export function wrong(...messages: string[]): ValueResult<never> {
  return { kind: 'problems', messages };
}
