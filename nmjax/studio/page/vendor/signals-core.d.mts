export function signal<T = any>(value: T): { value: any };
export function computed<T>(read: () => T): { readonly value: T };
export function effect(run: () => void): () => void;
