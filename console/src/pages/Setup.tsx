import { NewAccount } from "../ui/NewAccount.tsx";
import { useOneTimeToken } from "../ui/oneTime.ts";

/** Makes the first administrator, with the one-time link of the first start. */
export function Setup() {
  return (
    <NewAccount
      token={useOneTimeToken()}
      title="Set up the Console"
      verb="Create the administrator"
      path="/v1/console/setup"
      to="/keys"
      withEmail
      broken={
        <>
          Copy the whole link that the server printed, with everything after the #. To print a new
          one, run <code>antiphon console open</code> on the server’s machine.
        </>
      }
    >
      You become the first administrator. You can invite others later.
    </NewAccount>
  );
}
