// css is inlined as text by the build
declare module "*.css" {
  const text: string;
  export default text;
}
