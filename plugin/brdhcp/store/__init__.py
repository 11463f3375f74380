"""What must outlive the agent: the attachments with their leases, and the requests that came while it was
away.
"""
